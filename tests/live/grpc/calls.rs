// SPDX-License-Identifier: BSD-2-Clause

//! calls PORT: the calls of test_grpc.py, both ends of them, with tonic.
//! calls PORT late: a call of each method that a line of standard input names; prints its status.

use bytes::{Buf, BufMut, Bytes};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio_stream::{wrappers::ReceiverStream, Stream, StreamExt};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::transport::{Body, Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tower::{service_fn, Service};

const MESSAGE: Bytes = Bytes::from_static(b"hello");
const SPECIAL: &str =
    "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n";

/// Messages are their bytes.
#[derive(Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Plain;
    type Decoder = Plain;

    fn encoder(&mut self) -> Plain {
        *self
    }

    fn decoder(&mut self) -> Plain {
        *self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

async fn serve(
    method: String,
    request: Request<Streaming<Bytes>>,
) -> Result<Response<Answers>, Status> {
    let mut requests = request.into_inner();
    if method == "/t.S/Both" {
        return Ok(Response::new(Box::pin(requests)));
    }
    let mut received: Vec<Bytes> = Vec::new();
    while let Some(message) = requests.next().await {
        received.push(message?);
    }
    let answers: Vec<Result<Bytes, Status>> = match method.as_str() {
        "/t.S/Unary" => received.pop().map(Ok).into_iter().collect(),
        "/t.S/Fail" => return Err(Status::not_found("no such th\u{ef}ng 100%")),
        "/t.S/Special" => return Err(Status::unknown(SPECIAL)),
        "/t.S/Slow" => std::future::pending().await,
        "/t.S/Server" => (0..7).map(|i| Ok(Bytes::from(vec![0; i]))).collect(),
        "/t.S/Broken" => (0..3)
            .map(|_| Ok(MESSAGE))
            .chain([Err(Status::resource_exhausted("no more"))])
            .collect(),
        "/t.S/Client" => vec![Ok(Bytes::from(received.len().to_string()))],
        _ => return Err(Status::unimplemented("unknown method")),
    };
    Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
}

#[derive(Clone)]
struct Calls;

impl tonic::server::NamedService for Calls {
    const NAME: &'static str = "t.S";
}

impl Service<http::Request<Body>> for Calls {
    type Response = http::Response<tonic::body::BoxBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // Many names, one method.
        let path = request.uri().path();
        let method = path.split('-').next().unwrap_or(path).to_owned();

        Box::pin(async {
            let service = service_fn(move |request| serve(method.clone(), request));
            Ok(tonic::server::Grpc::new(Plain)
                .streaming(service, request)
                .await)
        })
    }
}

fn say(method: &str, error: Option<&Status>, sent: usize, received: usize) {
    let (code, message) = error.map_or((0, ""), |e| (e.code() as i32, e.message()));
    println!(
        "{}",
        serde_json::json!([method, code, message, sent, received])
    );
}

struct Client(tonic::client::Grpc<Channel>);

impl Client {
    async fn invoke(&mut self, method: &str, request: Request<Bytes>) -> Result<Bytes, Status> {
        self.0.ready().await.expect("a connection");
        let path = method.parse().expect("a path");
        let response = self.0.unary(request, path, Plain).await?;
        Ok(response.into_inner())
    }

    async fn unary(&mut self, method: &str, size: usize, deadline: Option<Duration>) {
        let mut request = Request::new(Bytes::from(vec![0; size]));
        if let Some(deadline) = deadline {
            request.set_timeout(deadline);
        }
        let result = self.invoke(method, request).await;
        say(method, result.as_ref().err(), 1, result.is_ok().into());
    }

    async fn begin<S>(&mut self, method: &str, requests: S) -> Result<Streaming<Bytes>, Status>
    where
        S: Stream<Item = Bytes> + Send + 'static,
    {
        self.0.ready().await.expect("a connection");
        let (path, requests) = (method.parse().expect("a path"), Request::new(requests));
        let response = self.0.streaming(requests, path, Plain).await?;
        Ok(response.into_inner())
    }

    /// Sends so many messages, and takes what there is.
    async fn stream(&mut self, method: &str, count: usize) {
        let requests = tokio_stream::iter(vec![MESSAGE; count]);
        let mut answers = self.begin(method, requests).await.expect("a head");
        let (mut received, mut error) = (0, None);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(_) => received += 1,
                Err(status) => error = Some(status),
            }
        }
        say(method, error.as_ref(), count, received);
    }

    async fn give_up(&mut self, method: &str) {
        let (send, requests) = mpsc::channel(1);
        let call = self.begin(method, ReceiverStream::new(requests));
        let limit = tokio::time::timeout(Duration::from_millis(100), call).await;
        assert!(limit.is_err());
        // As long as there may be more to send, hyper does not tell the server.
        drop(send);
        say(method, Some(&Status::cancelled("")), 0, 0);
    }

    /// A message for each answer, then the end of the requests, or of the call.
    async fn both(&mut self, count: usize, cancel: bool) {
        let (send, requests) = mpsc::channel(1);
        let mut send = Some(send).filter(|_| count > 0);
        if let Some(send) = &send {
            send.send(MESSAGE).await.expect("room for one");
        }
        let requests = ReceiverStream::new(requests);
        let mut answers = self.begin("/t.S/Both", requests).await.expect("a head");
        let mut received = 0;
        while let Some(answer) = answers.next().await {
            answer.expect("an echo");
            received += 1;
            if received == count && cancel {
                return say("/t.S/Both", Some(&Status::cancelled("")), count, received);
            }
            send = send.filter(|_| received < count);
            if let Some(send) = &send {
                send.send(MESSAGE).await.expect("a call that goes on");
            }
        }
        say("/t.S/Both", None, count, received);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let address = format!("127.0.0.1:{}", args[1]);
    let server = Server::builder().add_service(Calls);
    tokio::spawn(server.serve(address.parse().expect("an address")));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URL");
    let channel = loop {
        match endpoint.connect().await {
            Ok(channel) => break channel,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let mut client = Client(tonic::client::Grpc::new(channel));
    if args.get(2).map_or(false, |word| word == "late") {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await.expect("standard input") {
            let result = client.invoke(&line, Request::new(MESSAGE)).await;
            println!("{}", result.err().map_or(0, |status| status.code() as i32));
        }
    } else {
        for size in [0, 1, 100, 300000] {
            client.unary("/t.S/Unary", size, None).await;
        }
        for method in [
            "/t.S/Fail",
            "/t.S/Special",
            "/t.S/Missing",
            "/t.Other/Unary",
        ] {
            client.unary(method, 0, None).await;
        }
        client
            .unary("/t.S/Slow", 0, Some(Duration::from_millis(300)))
            .await;
        client.stream("/t.S/Server", 1).await;
        client.stream("/t.S/Broken", 1).await;
        client.stream("/t.S/Client", 5).await;
        client.give_up("/t.S/Client").await;
        client.both(0, false).await;
        client.both(4, false).await;
        client.both(2, true).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
