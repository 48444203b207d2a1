//! The one HTTP port: `/metrics`, `/live`, `/ready`.
//!
//! `/live` says that the process can answer, and depends on nothing else: a supervisor that restarts a process because
//! its broker is away makes things worse. `/ready` is 200 or 503 with what is missing, in words.

use super::Telemetry;
use crate::clock::wall_clock;
use axum::extract::State;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use std::net::{SocketAddr, TcpListener};

/// Why the port can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("nothing can listen on {address}: {cause}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub cause: std::io::Error,
}

/// Takes the port. Nothing is answered before [`serve`].
///
/// # Errors
/// If another program has it, or it is no address of this machine.
pub fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|cause| ListenError { address, cause })
}

/// Answers until the future is dropped.
///
/// # Errors
/// If the port fails.
pub async fn serve(listener: TcpListener, telemetry: Telemetry) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tracing::info!(address = %listener.local_addr()?, "metrics and health are served");
    axum::serve(listener, router(telemetry)).await
}

fn router(telemetry: Telemetry) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(async || "alive\n"))
        .route("/ready", get(ready))
        .with_state(telemetry)
}

async fn metrics(State(telemetry): State<Telemetry>) -> Response {
    match telemetry.render(wall_clock().as_micros()) {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(telemetry): State<Telemetry>) -> Response {
    let readiness = telemetry.health.readiness();
    let ready = readiness.missing.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = serde_json::json!({
        "ready": ready,
        "missing": readiness.missing,
        "tasks": readiness.tasks,
    });
    let body = format!("{body}\n");
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// A server on a free port, and the runtime that serves it.
    fn server(telemetry: &Telemetry) -> (SocketAddr, tokio::runtime::Runtime) {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.spawn(serve(listener, telemetry.clone()));
        (address, runtime)
    }

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    #[test]
    fn three_paths_answer() {
        let telemetry = Telemetry::default();
        let (address, _runtime) = server(&telemetry);
        assert!(get(address, "/live").starts_with("HTTP/1.1 200"));
        assert!(get(address, "/ready").starts_with("HTTP/1.1 200"));
        telemetry.health.expect("rollup", 1);
        let missing = get(address, "/ready");
        assert!(missing.starts_with("HTTP/1.1 503"), "{missing}");
        assert!(
            missing.contains(r#""missing":["rollup: has not joined its group yet"],"ready":false"#),
            "{missing}"
        );
        assert!(get(address, "/live").starts_with("HTTP/1.1 200"));
        let metrics = get(address, "/metrics");
        assert!(metrics.contains("text/plain"), "{metrics}");
        assert!(
            metrics.contains("\nrollcall_corrections_total 0\n"),
            "{metrics}"
        );
        assert!(get(address, "/").starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn a_port_in_use_is_one_sentence() {
        let telemetry = Telemetry::default();
        let (address, _runtime) = server(&telemetry);
        let error = listen(address).expect_err("it is in use");
        assert_eq!(error.cause.kind(), std::io::ErrorKind::AddrInUse);
        assert!(
            error
                .to_string()
                .starts_with(&format!("nothing can listen on {address}: "))
        );
    }
}
