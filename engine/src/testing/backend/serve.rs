//! The server of a fake backend: HTTP/1 and HTTP/2 (gRPC) on one port, each request recorded before it is answered.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State as Shared};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;

use super::connection::{Connection, Switch};
use super::{Behaviour, RecordedRequest, State, grpc, lock};

/// Serves until the task is aborted.
pub(super) async fn serve(listener: TcpListener, state: Arc<State>, router: Router) {
    let router = router.layer(DefaultBodyLimit::disable()).layer(from_fn_with_state(Arc::clone(&state), answer));
    let connections = stream::unfold((listener, state), |(listener, state)| async move {
        let connection = listener.accept().await.map(|(stream, _)| Connection::new(stream));
        if let Ok(connection) = &connection {
            lock(&state.connections).push(connection.switch());
        }
        Some((connection, (listener, state)))
    });
    // The server ends with its task; an error of a single connection does not end it.
    let _ =
        Server::builder().accept_http1(true).add_routes(Routes::from(router)).serve_with_incoming(connections).await;
}

/// Records a request and does with it what the script says.
async fn answer(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    if request.uri().path() == state.aside {
        return next.run(request).await;
    }
    let behaviour = lock(&state.script).next();
    let (mut parts, body) = request.into_parts();
    let body = match behaviour {
        Behaviour::ResetAfterHeaders => Bytes::new(),
        _ => match to_bytes(body, usize::MAX).await {
            Ok(body) => body,
            // The client is gone.
            Err(_) => return Response::new(Body::empty()),
        },
    };
    lock(&state.requests).push(RecordedRequest {
        method: parts.method.clone(),
        route: parts.uri.path().to_owned(),
        headers: parts.headers.clone(),
        body: body.clone(),
        arrival: state.clock.unix(),
        behaviour: behaviour.clone(),
    });
    match &behaviour {
        Behaviour::Status { code, headers, body } => status(*code, headers, body),
        Behaviour::GrpcStatus { code, message, retry_after } if is_grpc(&parts.headers) => {
            grpc::over_grpc(*code, message, *retry_after)
        }
        Behaviour::GrpcStatus { code, message, retry_after } => grpc::over_http(*code, message, *retry_after),
        Behaviour::Hang => std::future::pending().await,
        Behaviour::ResetAfterHeaders => {
            if let Some(switch) = parts.extensions.get::<Switch>() {
                switch.cut();
            }
            std::future::pending().await
        }
        Behaviour::Slow(span) => {
            state.clock.sleep(*span).await;
            next.run(Request::from_parts(parts, body.into())).await
        }
        Behaviour::Garbage => {
            let content_type = parts.headers.get(CONTENT_TYPE).cloned();
            next.run(Request::from_parts(parts, body.into())).await;
            let mut response = Response::new(Body::from(&b"\xff\xffgarbage"[..]));
            response.headers_mut().extend(content_type.map(|value| (CONTENT_TYPE, value)));
            response
        }
        Behaviour::CloseMidBody | Behaviour::StallMidBody => {
            let response = next.run(Request::from_parts(parts, body.into())).await;
            first_half(response, behaviour == Behaviour::StallMidBody).await
        }
        Behaviour::Ok | Behaviour::PartialSuccess { .. } => {
            parts.extensions.insert(behaviour);
            next.run(Request::from_parts(parts, body.into())).await
        }
    }
}

fn is_grpc(headers: &http::HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn status(code: u16, headers: &[(&'static str, String)], body: &str) -> Response {
    let mut response = Response::builder().status(code);
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(Body::from(body.to_owned())).expect("a scripted response is valid HTTP")
}

/// The response with the second half of its body missing: the connection stalls or breaks there.
async fn first_half(response: Response, stalls: bool) -> Response {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let half = body.slice(..body.len() / 2);
    let pieces = stream::unfold(Some(half), move |half| async move {
        match half {
            Some(half) => Some((Ok(half), None)),
            None if stalls => std::future::pending().await,
            None => {
                // Gives the server the chance to send the first half.
                tokio::task::yield_now().await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}
