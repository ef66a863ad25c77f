//! A shop's folder, the process that serves it, a plain HTTP client, and seeded chance.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Far beyond what any step takes: a test that reaches it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// SplitMix64: the same seed draws the same.
pub(crate) struct Chance(u64);

impl Chance {
    /// Prints the seed, so that a failing run can be repeated.
    pub(crate) fn seeded(test: &str, seed: u64) -> Self {
        println!("{test}: seed {seed}");
        Self(seed)
    }

    /// Drawn from another one, whose seed is printed.
    pub(crate) fn quiet(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// The binary, without what the surroundings would tell it.
pub(crate) fn merx(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_merx"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MERX_")) {
        command.env_remove(name);
    }
    command.arg("--data").arg(data).current_dir(data.parent().unwrap());
    command
}

/// Runs to its end, which must be a success, and returns what it printed.
/// The same command, begun by another program that becomes it in the end.
pub(crate) fn begun_by(starter: &[String], inner: Command) -> Command {
    let Some((program, arguments)) = starter.split_first() else { return inner };
    let mut command = Command::new(program);
    command.args(arguments).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(inner.get_current_dir().unwrap_or(Path::new(".")));
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Runs to its end, which must be a failure in words, and returns them.
pub(crate) fn fail(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let words = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(1), "{command:?} ended with {status}\n{words}");
    assert!(words.contains("error: ") && !words.contains("panicked"), "{words}");
    words
}

/// Starts, waits, kills with SIGKILL. `None`: it had ended before, well.
pub(crate) fn kill_after(command: &mut Command, wait: Duration) -> Option<()> {
    let errors = tempfile::NamedTempFile::new().unwrap();
    let mut process = command.stdout(Stdio::null()).stderr(errors.reopen().unwrap()).spawn().unwrap();
    std::thread::sleep(wait);
    process.kill().unwrap();
    let status = process.wait().unwrap();
    if status.code().is_some() {
        let words = || std::fs::read_to_string(errors.path()).unwrap();
        assert!(status.success(), "{command:?} ended with {status}: {}", words());
        return None;
    }
    Some(())
}

#[derive(Clone, Debug)]
pub(crate) struct ApiKeys {
    pub(crate) public: String,
    pub(crate) admin: String,
}

/// A data folder that outlives the processes.
pub(crate) struct Shop {
    folder: tempfile::TempDir,
    keys: Option<ApiKeys>,
}

impl Shop {
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), keys: None }
    }

    /// A simulated shop with a trained model of every family; made once, copied for each test.
    pub(crate) fn demo() -> Self {
        static TEMPLATE: OnceLock<tempfile::TempDir> = OnceLock::new();
        Self::copied(TEMPLATE.get_or_init(|| made(["300", "1000", "100"])))
    }

    /// A smaller one, trained in a tenth of a second on too little data to learn much.
    pub(crate) fn small_demo() -> Self {
        static TEMPLATE: OnceLock<tempfile::TempDir> = OnceLock::new();
        Self::copied(TEMPLATE.get_or_init(|| made(["150", "600", "60"])))
    }

    fn copied(template: &tempfile::TempDir) -> Self {
        let shop = Self::empty();
        copy_folder(&template.path().join("data"), &shop.data());
        shop
    }

    /// Of the shop that this one is a copy of: keys are shown once.
    pub(crate) fn adopt_keys(&mut self, other: &Self) {
        self.keys = other.keys.clone();
    }

    pub(crate) fn set_keys(&mut self, keys: ApiKeys) {
        self.keys = Some(keys);
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn merx(&self) -> Command {
        merx(&self.data())
    }

    /// Serves on a free port; returns once requests are answered.
    pub(crate) fn serve(&mut self, flags: &[&str]) -> Server {
        self.serve_by(self.merx(), flags)
    }

    /// The same through a command that becomes `merx` in the end.
    pub(crate) fn serve_by(&mut self, command: Command, flags: &[&str]) -> Server {
        self.start(command, "serve", flags)
    }

    /// As a process that works beside those that serve.
    pub(crate) fn work(&mut self, flags: &[&str]) -> Server {
        self.start(self.merx(), "work", flags)
    }

    /// As a demo of these sizes, with people who visit it.
    pub(crate) fn open_demo(&mut self, flags: &[&str]) -> Server {
        self.start(self.merx(), "demo", flags)
    }

    fn start(&mut self, mut command: Command, what: &str, flags: &[&str]) -> Server {
        let ready_file = self.beside("ready.json");
        let _ = std::fs::remove_file(&ready_file);
        let errors = self.beside("server.log");
        // A lot would draw one person in twenty out of what a test is about.
        command.args([what, "--set", "server.listen=127.0.0.1:0", "--set", "recommend.holdout=0"]);
        command.arg("--ready-file").arg(&ready_file).args(flags);
        command.stdout(Stdio::null()).stderr(std::fs::File::create(&errors).unwrap());
        let began = Instant::now();
        let mut process = command.spawn().unwrap();
        let ready = loop {
            if let Ok(text) = std::fs::read_to_string(&ready_file) {
                break serde_json::from_str::<Value>(&text).unwrap();
            }
            let words = || std::fs::read_to_string(&errors).unwrap();
            assert!(process.try_wait().unwrap().is_none(), "the server stopped: {}", words());
            assert!(began.elapsed() < PATIENCE, "the server is not ready: {}", words());
            std::thread::sleep(Duration::from_millis(2));
        };
        let key = |scope: &str| ready[format!("{scope}_key")].as_str().map(str::to_owned);
        if let (Some(public), Some(admin)) = (key("public"), key("admin")) {
            self.keys = Some(ApiKeys { public, admin });
        }
        let url = ready["url"].as_str().unwrap().to_owned();
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        let keys = self.keys.clone().unwrap();
        Server { process, address, url, keys, ready_after: began.elapsed() }
    }
}

fn made([products, shoppers, days]: [&str; 3]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let size = ["--products", products, "--shoppers", shoppers, "--days", days, "--no-serve"];
    succeed(merx(&folder.path().join("data")).arg("demo").args(size).args(["--set", "train.gate_latency_ms=10000"]));
    folder
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A running server; killed when it is dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
    pub(crate) keys: ApiKeys,
    /// From the start of the process to its first answer.
    pub(crate) ready_after: Duration,
}

impl Server {
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks it to stop and waits until it has, well.
    pub(crate) fn stop(mut self) {
        self.signal_stop();
        let began = Instant::now();
        while self.process.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "it doesn't stop");
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = self.process.wait().unwrap();
        assert!(status.success(), "it stopped with {status}");
    }

    pub(crate) fn signal_stop(&self) {
        assert!(Command::new("kill").arg(self.id().to_string()).status().unwrap().success());
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    /// One request on a connection of its own.
    pub(crate) fn call(&self, method: &str, path: &str, key: &str, body: Option<&Value>) -> Reply {
        self.client().call(method, path, key, body).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.call("GET", path, &self.keys.admin, None).ok()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", path, &self.keys.admin, Some(body)).ok()
    }

    /// Asks until `right` is content with the answer, and returns it and how long that took.
    pub(crate) fn eventually(&self, path: &str, mut right: impl FnMut(&Reply) -> bool) -> (Reply, Duration) {
        let began = Instant::now();
        loop {
            let reply = self.call("GET", path, &self.keys.admin, None);
            if right(&reply) {
                return (reply, began.elapsed());
            }
            assert!(began.elapsed() < PATIENCE, "{path} still answers {} {}", reply.status, reply.body);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn recommend(&self, shopper: &Value, scenario: &str) -> Value {
        let mut body = json!({ "slots": [{ "scenario": scenario, "count": 5 }] });
        body.as_object_mut().unwrap().extend(shopper.as_object().unwrap().clone());
        self.post("/v1/recommend", &body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection that is kept.
pub(crate) struct Client(BufReader<TcpStream>);

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// An error is a connection that broke: whether the request was taken is not known then.
    pub(crate) fn call(&mut self, method: &str, path: &str, key: &str, body: Option<&Value>) -> std::io::Result<Reply> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: merx\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes())?;
        let head = self.line()?;
        let broken = || std::io::Error::new(std::io::ErrorKind::InvalidData, "not an answer");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(broken)?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
        let mut bytes = vec![0; length.parse().map_err(|_| broken())?];
        self.0.read_exact(&mut bytes)?;
        Ok(Reply { status, headers, body: String::from_utf8(bytes).map_err(|_| broken())? })
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
