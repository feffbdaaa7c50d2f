//! The behaviours that all backends share, seen by a client.

use std::time::Duration;

use axum::routing::post;
use tokio::task::JoinHandle;

use super::http_client::request;
use super::*;
use crate::testing::FakeClock;

/// A backend that answers `echo` to `POST /echo`.
async fn backend(time: &FakeClock) -> Backend {
    Backend::start(loopback().await, time.clock(), Router::new().route("/echo", post(async || "echo")))
}

fn post_in_task(backend: &Backend) -> JoinHandle<std::io::Result<(u16, Vec<u8>)>> {
    let address = backend.address();
    tokio::spawn(async move { request(address, "POST /echo", &[("x-name", "value")], b"body").await })
}

async fn ask(backend: &Backend) -> std::io::Result<(u16, Vec<u8>)> {
    post_in_task(backend).await.unwrap()
}

#[tokio::test]
async fn requests_are_recorded_as_sent_with_the_time_of_the_backends_clock() {
    let time = FakeClock::new();
    let backend = backend(&time).await;
    ask(&backend).await.unwrap();
    time.advance(Duration::from_secs(7)).await;
    assert_eq!(ask(&backend).await.unwrap(), (200, b"echo".to_vec()));
    let requests = backend.requests();
    let arrivals: Vec<_> = requests.iter().map(|request| request.arrival).collect();
    assert_eq!(arrivals, [FakeClock::START, FakeClock::START.after(Duration::from_secs(7))]);
    let RecordedRequest { method, route, headers, body, .. } = &requests[0];
    assert_eq!((method, &**route, &**body), (&Method::POST, "/echo", &b"body"[..]));
    assert_eq!(headers["x-name"], "value");
}

#[tokio::test]
async fn scripted_behaviours_come_once_each_and_then_the_lasting_one() {
    let backend = backend(&FakeClock::new()).await;
    backend.behave(Behaviour::status(503));
    backend.behave_once([Behaviour::Ok, Behaviour::retry_after(429, 3)]);
    for expected in [200, 429, 503, 503] {
        assert_eq!(ask(&backend).await.unwrap().0, expected);
    }
    backend.behave(Behaviour::Ok);
    assert_eq!(ask(&backend).await.unwrap().0, 200);
    assert_eq!(backend.request_count(), 5);
}

#[tokio::test]
async fn a_hanging_backend_records_the_request_and_never_answers() {
    let time = FakeClock::new();
    let backend = backend(&time).await;
    backend.behave(Behaviour::Hang);
    let hanging = post_in_task(&backend);
    backend.wait_for_requests(1).await;
    time.advance(Duration::from_secs(3600)).await;
    assert!(!hanging.is_finished());
    backend.behave(Behaviour::Ok);
    assert_eq!(ask(&backend).await.unwrap().0, 200, "other requests are answered");
    backend.cut_connections();
    assert!(hanging.await.unwrap().is_err());
}

#[tokio::test]
async fn a_slow_backend_answers_when_its_clock_says_so() {
    let time = FakeClock::new();
    let backend = backend(&time).await;
    backend.behave(Behaviour::Slow(Duration::from_secs(5)));
    let slow = post_in_task(&backend);
    eventually("a sleeping backend", || time.sleepers() == 1).await;
    time.advance(Duration::from_secs(4)).await;
    assert!(!slow.is_finished());
    time.advance(Duration::from_secs(1)).await;
    assert_eq!(slow.await.unwrap().unwrap().0, 200);
}

#[tokio::test]
async fn broken_connections_are_errors_at_the_client() {
    let backend = backend(&FakeClock::new()).await;
    backend.behave_once([Behaviour::ResetAfterHeaders, Behaviour::CloseMidBody]);
    assert_eq!(ask(&backend).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(ask(&backend).await.is_err());
    assert_eq!(ask(&backend).await.unwrap(), (200, b"echo".to_vec()));
}

#[tokio::test]
async fn garbage_comes_with_a_good_status() {
    let backend = backend(&FakeClock::new()).await;
    backend.behave_once([Behaviour::Garbage]);
    let (status, body) = ask(&backend).await.unwrap();
    assert_eq!(status, 200);
    assert_ne!(body, b"echo");
}

#[tokio::test]
async fn a_backend_that_is_gone_refuses_connections() {
    let backend = backend(&FakeClock::new()).await;
    let address = backend.address();
    drop(backend);
    let refuses = || async { request(address, "POST /echo", &[], b"").await.is_err() };
    while !refuses().await {
        tokio::task::yield_now().await;
    }
}
