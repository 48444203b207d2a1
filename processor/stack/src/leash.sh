# Runs a service so that it cannot outlive its owner, whatever ends the owner: kill -9 too.
#
#   sh -c LEASH leash SIGNAL SECONDS PROGRAM ARGUMENT…
#
# Standard input is a pipe whose other end only the owner holds. A watcher reads it. A line means that the service has
# ended; the end of the pipe means that the owner has: then the service gets SIGNAL, and SIGKILL after SECONDS.
# The shell itself becomes the service, so the process id that the owner knows is the service's own. The watcher is
# a grandchild: PostgreSQL would otherwise find it among its own children.
signal=$1
tenths=$(($2 * 10))
shift 2
exec 3<&0 </dev/null
(
  (
    trap '' HUP INT TERM
    if read -r _ <&3; then exit 0; fi
    kill -s "$signal" $$ 2>/dev/null
    kill -s CONT $$ 2>/dev/null
    while [ "$tenths" -gt 0 ] && kill -s 0 $$ 2>/dev/null; do
      sleep 0.1
      tenths=$((tenths - 1))
    done
    kill -s KILL $$ 2>/dev/null
  ) &
)
exec "$@" 3<&-
