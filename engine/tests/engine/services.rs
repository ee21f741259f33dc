//! A fake model server for embeddings and reranking. A test can stop it, delay it, and read the requests that it
//! received.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// Words on the same line have the same meaning for the fake model.
const MEANINGS: [&[&str]; 3] = [&["zorbl", "florpish"], &["quux", "plinthoid"], &["wibble", "drangle"]];

/// The server refuses a request that has this word in a text.
pub(crate) const REFUSED: &str = "unspeakable";

#[derive(Debug)]
struct State {
    /// Whether connections are closed without a response.
    down: AtomicBool,
    /// Status of every response; 0 for the usual ones.
    status: AtomicU16,
    /// How long every response takes, milliseconds.
    delay_ms: AtomicU64,
    /// Whether vectors have one number too many.
    wide: AtomicBool,
    /// Model whose requests are delayed.
    held: Mutex<Option<String>>,
    /// Model and texts of every answered request.
    heard: Mutex<Vec<(String, Vec<String>)>>,
    /// `traceparent` of every request that had one.
    parents: Mutex<Vec<String>>,
}

/// A running model server.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

impl Service {
    pub(crate) fn start() -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = State {
            down: AtomicBool::new(false),
            status: AtomicU16::new(0),
            delay_ms: AtomicU64::new(0),
            wide: AtomicBool::new(false),
            held: Mutex::default(),
            heard: Mutex::default(),
            parents: Mutex::default(),
        };
        let service = Service { address: listener.local_addr().unwrap(), state: Arc::new(state) };
        let serving = service.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let service = serving.clone();
                thread::spawn(move || while service.answer(&stream).is_some() {});
            }
        });
        service
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.state.down.store(down, Ordering::SeqCst);
    }

    /// Answers every request with this status; with 0 as usual.
    pub(crate) fn set_status(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    /// Answers with vectors of another dimension.
    pub(crate) fn set_wide(&self, wide: bool) {
        self.state.wide.store(wide, Ordering::SeqCst);
    }

    /// Delays every response.
    pub(crate) fn set_delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap();
        self.state.delay_ms.store(millis, Ordering::SeqCst);
    }

    /// Delays requests for this model. `None` or another model releases the delayed requests.
    pub(crate) fn hold(&self, model: Option<&str>) {
        *self.state.held.lock().unwrap() = model.map(str::to_owned);
    }

    pub(crate) fn heard(&self) -> Vec<(String, Vec<String>)> {
        self.state.heard.lock().unwrap().clone()
    }

    pub(crate) fn parents(&self) -> Vec<String> {
        self.state.parents.lock().unwrap().clone()
    }

    /// Returns how often a text was sent to a model.
    pub(crate) fn times(&self, model: &str, text: &str) -> usize {
        let heard = self.heard();
        let of_model = heard.iter().filter(|(asked, _)| asked == model);
        of_model.flat_map(|(_, texts)| texts).filter(|sent| sent.contains(text)).count()
    }

    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let (body, parent) = request(stream)?;
        self.state.parents.lock().unwrap().extend(parent);
        let model = body["model"].as_str()?.to_owned();
        while self.state.held.lock().unwrap().as_ref() == Some(&model) {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(self.state.delay_ms.load(Ordering::SeqCst)));
        if self.state.down.load(Ordering::SeqCst) {
            return None;
        }
        let mut stream = stream;
        let status = self.state.status.load(Ordering::SeqCst);
        if status != 0 {
            let head = format!("HTTP/1.1 {status} X\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n");
            return stream.write_all(head.as_bytes()).ok();
        }
        let list = if body["documents"].is_array() { &body["documents"] } else { &body["input"] };
        let texts: Vec<String> =
            list.as_array()?.iter().map(|text| text.as_str().unwrap_or_default().to_owned()).collect();
        let refused = texts.iter().any(|text| text.contains(REFUSED));
        let answer = match body["query"].as_str() {
            Some(query) => ranked(query, &texts),
            None => embedded(&model, &texts, self.state.wide.load(Ordering::SeqCst)),
        };
        self.state.heard.lock().unwrap().push((model, texts));
        let answer = answer.to_string();
        let status = if refused { "400 Bad Request" } else { "200 OK" };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat()).ok()
    }
}

/// Returns the vector of a text: the weight of each meaning in it.
pub(crate) fn meaning(model: &str, text: &str) -> Vec<f32> {
    let about = |words: &&[&str]| if words.iter().any(|word| text.contains(word)) { 1.0 } else { 0.0625 };
    let mut vector: Vec<f32> = MEANINGS.iter().map(about).collect();
    // The dimension of the vectors differs between models.
    vector.extend(vec![0.03125; model.len()]);
    vector
}

fn embedded(model: &str, texts: &[String], wide: bool) -> Value {
    let item = |(index, text): (usize, &String)| {
        let mut vector = meaning(model, text);
        vector.extend(wide.then_some(0.5));
        json!({"index": index, "embedding": vector})
    };
    let data: Vec<Value> = texts.iter().enumerate().map(item).collect();
    json!({"object": "list", "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}})
}

/// Ranks the documents: the shortest text ranks first.
fn ranked(_query: &str, texts: &[String]) -> Value {
    let score = |text: &String| 1.0 / f64::from(u32::try_from(text.len()).unwrap());
    let results: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({"index": index, "relevance_score": score(text)}))
        .collect();
    json!({ "results": results })
}

/// The body of a request, and its `traceparent`.
fn request(stream: &TcpStream) -> Option<(Value, Option<String>)> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut parent) = (0, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if let Some(value) = line.strip_prefix("traceparent:") {
            parent = Some(value.trim().to_owned());
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok().map(|body| (body, parent))
}
