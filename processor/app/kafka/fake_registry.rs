//! A registry for tests, that answers as it is told.

use super::registry::Registry;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use std::sync::{Arc, Mutex};

/// What it answers to a method and a path, as `GET /schemas/ids/1?deleted=true`, and a body.
type Answers = Box<dyn FnMut(&str, &str) -> (u16, String) + Send>;

/// A registry that lives as long as this.
pub(crate) struct FakeRegistry {
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl FakeRegistry {
    /// Starts one.
    pub(crate) fn start(answers: impl FnMut(&str, &str) -> (u16, String) + Send + 'static) -> Self {
        let answers: Answers = Box::new(answers);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listening = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = runtime.block_on(listening).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let routes = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::new(Mutex::new(answers)));
        runtime.spawn(async { axum::serve(listener, routes).await });
        Self {
            url,
            _runtime: runtime,
        }
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Registry {
        Registry::new(&self.url, None, "").expect("a client")
    }
}

async fn answer(
    State(answers): State<Arc<Mutex<Answers>>>,
    request: Request,
) -> (StatusCode, String) {
    let call = format!("{} {}", request.method(), request.uri());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await;
    let body = String::from_utf8_lossy(&body.expect("a body")).into_owned();
    let (status, answer) = answers.lock().expect("no panic")(&call, &body);
    (StatusCode::from_u16(status).expect("a status"), answer)
}
