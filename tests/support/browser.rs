//! A real browser: Chromium without a window, driven by chromedriver over WebDriver, with an authenticator of its own.
//!
//! WebDriver (W3C) is plain HTTP with JSON, and its authenticators (Web Authentication Level 3, §11) hold passkeys as a phone
//! does: on this device, its user verified.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{Api, eventually_async, scratch_dir};

/// How long a page may take to be what is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the browser may take to start on a busy machine.
const START: Duration = Duration::from_secs(90);
/// The name that WebDriver gives to elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with an empty profile; ended with the value, and with this process.
pub struct Browser {
    driver: Child,
    folder: PathBuf,
    wire: Api,
    session: String,
    authenticator: String,
}

impl Browser {
    /// Starts one that asks for pages in this language. None, and a line that says so, where Chromium is not installed.
    pub async fn start(lang: &str) -> Option<Self> {
        Self::start_with(lang, false).await
    }

    /// The same with an authenticator whose passkeys are synced, as most phones have it.
    pub async fn start_synced(lang: &str) -> Option<Self> {
        Self::start_with(lang, true).await
    }

    async fn start_with(lang: &str, is_synced: bool) -> Option<Self> {
        let (Some(chromium), Some(driver)) =
            (found(&["chromium", "chromium-browser", "google-chrome"]), found(&["chromedriver"]))
        else {
            eprintln!(
                "skipped: there is no Chromium with chromedriver (Debian: apt-get install chromium chromium-driver)"
            );
            return None;
        };
        let folder = scratch_dir();
        let (driver, port) = launch(&driver, &folder);
        let wire = Api { patience: START, ..Api::new(format!("127.0.0.1:{port}"), "") };
        let mut browser = Self { driver, folder, wire, session: String::new(), authenticator: String::new() };
        browser.open(&chromium, lang, is_synced).await;
        Some(browser)
    }

    async fn open(&mut self, chromium: &Path, lang: &str, is_synced: bool) {
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &format!("--lang={lang}"),
            &format!("--accept-lang={lang}"),
            &format!("--user-data-dir={}", self.folder.join("profile").display()),
        ];
        let chrome = json!({
            "binary": chromium,
            "args": args,
            "prefs": {"intl.accept_languages": lang, "intl.selected_languages": lang},
        });
        let wish = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": chrome,
            "webauthn:virtualAuthenticators": true,
        }}});
        let made = self.call(Method::POST, "/session", &wish).await.expect("the browser starts");
        self.session = made["sessionId"].as_str().expect("a session has an id").to_owned();
        self.wire.patience = PATIENCE;
        let wish = json!({
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserVerified": true,
            "defaultBackupEligibility": is_synced,
            "defaultBackupState": is_synced,
        });
        let made = self.ask("webauthn/authenticator", &wish).await;
        self.authenticator = made.as_str().expect("an authenticator has an id").to_owned();
    }

    /// Asks the driver; what it refuses comes back as its own words.
    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, Value> {
        let bytes = if body.is_null() { String::new() } else { body.to_string() };
        let reply = self.wire.send(method, path, &[("content-type", "application/json")], bytes.into()).await.unwrap();
        let value = reply.json()["value"].clone();
        if reply.status == 200 { Ok(value) } else { Err(value) }
    }

    async fn try_ask(&self, path: &str, body: &Value) -> Result<Value, Value> {
        self.call(Method::POST, &format!("/session/{}/{path}", self.session), body).await
    }

    async fn ask(&self, path: &str, body: &Value) -> Value {
        self.try_ask(path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn get(&self, path: &str) -> Value {
        let path = format!("/session/{}/{path}", self.session);
        self.call(Method::GET, &path, &Value::Null).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Goes to an address, as if it had been typed.
    pub async fn go(&self, url: &str) {
        self.ask("url", &json!({"url": url})).await;
    }

    /// The path and query that the browser is at.
    pub async fn at(&self) -> String {
        self.run("return location.pathname + location.search").await.as_str().unwrap().to_owned()
    }

    /// Waits until it is at this path, whatever the query.
    pub async fn wait_for_path(&self, path: &str) {
        eventually_async(&format!("the browser is at {path}"), PATIENCE, async || {
            let ready = "return document.readyState === 'complete' ? location.pathname : ''";
            let at = self.try_ask("execute/sync", &json!({"script": ready, "args": []})).await;
            at.is_ok_and(|at| at == path).then_some(())
        })
        .await;
    }

    /// Waits until there is what this selector finds.
    pub async fn wait_for(&self, css: &str) {
        eventually_async(&format!("the page has {css}"), PATIENCE, async || {
            let script = "return document.readyState === 'complete' && !!document.querySelector(arguments[0])";
            let there = self.try_ask("execute/sync", &json!({"script": script, "args": [css]})).await;
            there.is_ok_and(|there| there == true).then_some(())
        })
        .await;
    }

    /// Waits until something shows what is looked for.
    pub async fn wait_for_text(&self, part: &str) {
        eventually_async(&format!("the page says {part:?}"), PATIENCE, async || {
            let script = "return document.body ? document.body.innerText : ''";
            let text = self.try_ask("execute/sync", &json!({"script": script, "args": []})).await;
            text.ok().filter(|text| text.as_str().is_some_and(|text| text.contains(part))).map(drop)
        })
        .await;
    }

    /// What the page shows.
    pub async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap().to_owned()
    }

    /// The page's title.
    pub async fn title(&self) -> String {
        self.get("title").await.as_str().unwrap().to_owned()
    }

    /// Runs a script in the page: a function's body.
    pub async fn run(&self, script: &str) -> Value {
        self.ask("execute/sync", &json!({"script": script, "args": []})).await
    }

    /// The same for one that waits, with something to work on: it gives what its promise comes to.
    pub async fn run_with(&self, script: &str, on: &Value) -> Value {
        self.ask("execute/sync", &json!({"script": script, "args": [on]})).await
    }

    async fn find(&self, css: &str) -> String {
        let found = self.ask("element", &json!({"using": "css selector", "value": css})).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Presses what this selector finds first, having opened what it is folded into.
    pub async fn press(&self, css: &str) {
        let open =
            "const folded = document.querySelector(arguments[0])?.closest('details'); if (folded) folded.open = true";
        self.run_with(open, &json!(css)).await;
        let element = self.find(css).await;
        self.ask(&format!("element/{element}/click"), &json!({})).await;
    }

    /// Types into what this selector finds first.
    pub async fn write(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.ask(&format!("element/{element}/clear"), &json!({})).await;
        self.ask(&format!("element/{element}/value"), &json!({"text": text})).await;
    }

    /// Presses keys, one after the other, on whatever has the focus.
    pub async fn type_keys(&self, keys: &str) {
        let presses = keys
            .chars()
            .flat_map(|key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]);
        let source = json!({"type": "key", "id": "keys", "actions": presses.collect::<Vec<_>>()});
        self.ask("actions", &json!({"actions": [source]})).await;
    }

    /// The cookies of the page, as the browser keeps them.
    pub async fn cookies(&self) -> Vec<Value> {
        self.get("cookie").await.as_array().unwrap().clone()
    }

    /// How many passkeys the authenticator holds.
    pub async fn passkeys(&self) -> usize {
        self.credentials().await.len()
    }

    async fn credentials(&self) -> Vec<Value> {
        self.get(&format!("webauthn/authenticator/{}/credentials", self.authenticator))
            .await
            .as_array()
            .unwrap()
            .clone()
    }

    /// Gives copies of all passkeys to another browser's authenticator, as somebody's cloud does.
    pub async fn sync_passkeys_to(&self, other: &Self) {
        for credential in self.credentials().await {
            other.ask(&format!("webauthn/authenticator/{}/credential", other.authenticator), &credential).await;
        }
    }

    /// Takes all passkeys off the authenticator.
    pub async fn forget_passkeys(&self) {
        let path = format!("/session/{}/webauthn/authenticator/{}/credentials", self.session, self.authenticator);
        self.call(Method::DELETE, &path, &Value::Null).await.unwrap();
    }

    /// Sees the page at this width, in pixels of its own.
    pub async fn resize(&self, width: u32, height: u32) {
        self.command(
            "Emulation.setDeviceMetricsOverride",
            &json!({
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
            }),
        )
        .await;
    }

    /// Gives a command of the DevTools protocol.
    pub async fn command(&self, command: &str, params: &Value) -> Value {
        self.ask("goog/cdp/execute", &json!({"cmd": command, "params": params})).await
    }

    /// The whole page as it looks: a PNG.
    pub async fn picture(&self) -> Vec<u8> {
        let wish = json!({"format": "png", "captureBeyondViewport": true, "optimizeForSpeed": false});
        let made = self.command("Page.captureScreenshot", &wish).await;
        STANDARD.decode(made["data"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        _ = self.driver.kill();
        _ = self.driver.wait();
        // The browser is nobody's child by now; its folder is on its command line, and on no other.
        let folder = self.folder.display().to_string();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let pid = process.file_name().to_str().and_then(|pid| pid.parse().ok());
            if let Some(pid) = pid.and_then(Pid::from_raw)
                && String::from_utf8_lossy(&line).contains(&folder)
            {
                _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// A driver on a port that the system chose.
fn launch(driver: &Path, folder: &Path) -> (Child, u16) {
    let mut command = Command::new(driver);
    command.arg("--port=0").arg(format!("--log-path={}", folder.join("driver.log").display()));
    command.env("HOME", folder).env("TMPDIR", folder).current_dir(folder);
    let errors = File::create(folder.join("driver.err")).unwrap();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = |line: String| line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok();
    let port = lines.into_iter().find_map(port).expect("chromedriver says its port");
    (child, port)
}

/// A program by one of its names: on the path, or where Debian has it.
fn found(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain([PathBuf::from("/usr/bin")]).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|program| program.is_file())
}
