//! Where a service is, and how to sign in: one URL.
//!
//! `scheme://user:password@host:port/path?option=value`. A password may also come from `?password_file=/run/secrets/x`
//! (read each time a connection is made, so that an exchanged file is seen) or `?password_env=NAME`. Several hosts are
//! separated by commas (Kafka's brokers). Shown, an address has no password.

use std::collections::BTreeMap;
use std::path::PathBuf;

use url::Url;

use crate::secret::Secret;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    #[error("{text}: {problem}; write scheme://user:password@host:port/name?option=value")]
    Malformed { text: String, problem: String },
    #[error("{address}: there is no option {option}; known: {known}")]
    UnknownOption { address: String, option: String, known: String },
    #[error("{address}: {option} = {value:?}: expected {expected}")]
    BadOption { address: String, option: String, value: String, expected: &'static str },
    #[error("{address}: {problem}; {remedy}")]
    Secret { address: String, problem: String, remedy: String },
}

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    None,
    Given(Secret),
    File(PathBuf),
    Environment(String),
}

/// A parsed URL of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    scheme: String,
    /// `host:port` each, as written.
    hosts: Vec<String>,
    user: Option<String>,
    password: Source,
    /// Without slashes at its ends.
    path: String,
    options: BTreeMap<String, String>,
}

const PASSWORD_FILE: &str = "password_file";
const PASSWORD_ENV: &str = "password_env";

impl Address {
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let malformed =
            |problem: &str| AddressError::Malformed { text: without_password(text), problem: problem.to_owned() };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| malformed("no scheme"))?;
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(authority_end);
        let (sign_in, hosts) = authority.rsplit_once('@').map_or(("", authority), |(before, after)| (before, after));
        // The parser knows one host; further ones are ours to cut off.
        let hosts: Vec<String> = hosts.split(',').map(str::trim).map(str::to_owned).collect();
        if hosts.iter().any(String::is_empty) {
            return Err(malformed("no host"));
        }
        let at = if sign_in.is_empty() { String::new() } else { format!("{sign_in}@") };
        let url = Url::parse(&format!("{scheme}://{at}{}{tail}", hosts[0])).map_err(|e| malformed(&e.to_string()))?;
        let mut options: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let given = url.password().map(|text| Source::Given(Secret::new(decoded(text))));
        let file = options.remove(PASSWORD_FILE).map(|path| Source::File(path.into()));
        let environment = options.remove(PASSWORD_ENV).map(Source::Environment);
        let mut sources = [given, file, environment].into_iter().flatten();
        let password = sources.next().unwrap_or(Source::None);
        if sources.next().is_some() {
            return Err(malformed("more than one password"));
        }
        let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
        let path = decoded(url.path().trim_matches('/'));
        Ok(Self { scheme: scheme.to_owned(), hosts, user, password, path, options })
    }

    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    pub(crate) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Host and port of the first host; IPv6 addresses stand in brackets.
    pub(crate) fn host_and_port(&self, default_port: u16) -> Result<(String, u16), AddressError> {
        let text = &self.hosts[0];
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text.as_str(), None),
        };
        let port = port.map_or(Ok(default_port), str::parse);
        let port = port.map_err(|_| self.bad("port", text, "a number up to 65535"))?;
        Ok((host.trim_matches(['[', ']']).to_owned(), port))
    }

    /// Whether the first host is this machine, where nobody listens in between.
    pub(crate) fn is_loopback(&self) -> bool {
        self.host_and_port(0).is_ok_and(|(host, _)| {
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The password as it is now.
    pub(crate) fn password(&self) -> Result<Option<Secret>, AddressError> {
        let missing = |problem: String, remedy: &str| AddressError::Secret {
            address: self.to_string(),
            problem,
            remedy: remedy.to_owned(),
        };
        match &self.password {
            Source::None => Ok(None),
            Source::Given(secret) => Ok(Some(secret.clone())),
            Source::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n'])))),
                Err(error) => Err(missing(
                    format!("password_file {} can't be read ({error})", path.display()),
                    "write the password into it, readable by the user that Merx runs as",
                )),
            },
            Source::Environment(name) => match std::env::var(name) {
                Ok(text) => Ok(Some(Secret::new(text))),
                Err(_) => Err(missing(format!("the variable {name} is not set"), "set it to the password")),
            },
        }
    }

    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// A number from `range`, `default` where the option is not given.
    pub(crate) fn number(
        &self,
        name: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
        expected: &'static str,
    ) -> Result<u64, AddressError> {
        let Some(text) = self.option(name) else { return Ok(default) };
        text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| self.bad(name, text, expected))
    }

    pub(crate) fn bad(&self, option: &str, value: &str, expected: &'static str) -> AddressError {
        AddressError::BadOption {
            address: self.to_string(),
            option: option.to_owned(),
            value: value.to_owned(),
            expected,
        }
    }

    /// An option that nobody reads is a typing mistake.
    pub(crate) fn only_options(&self, known: &[&str]) -> Result<(), AddressError> {
        match self.options.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(option) => Err(AddressError::UnknownOption {
                address: self.to_string(),
                option: option.clone(),
                known: [known, &[PASSWORD_FILE, PASSWORD_ENV]].concat().join(", "),
            }),
        }
    }
}

/// Without the password and the options.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}/{}", self.hosts.join(","), self.path)
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// What can be shown of a text that is no address: it may hold a password all the same.
fn without_password(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}***{}", &text[..scheme + 3], &text[at..]),
        (None, Some(at)) => format!("***{}", &text[at..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read() {
        let address = Address::parse("postgres://merx:s%40cret@db.example:5433/shop?pool=4").unwrap();
        assert_eq!(address.scheme(), "postgres");
        assert_eq!(address.host_and_port(5432), Ok(("db.example".to_owned(), 5433)));
        assert_eq!((address.user(), address.path()), (Some("merx"), "shop"));
        assert_eq!(address.password().unwrap().unwrap().reveal(), "s@cret");
        assert_eq!(address.number("pool", 16, 1..=500, "1 to 500"), Ok(4));
        assert_eq!(address.number("wait_ms", 16, 1..=500, "1 to 500"), Ok(16));
        assert!(address.number("pool", 16, 8..=500, "8 to 500").unwrap_err().to_string().contains("expected 8 to 500"));
        assert!(address.only_options(&["pool"]).is_ok());
        assert!(address.only_options(&["pol"]).unwrap_err().to_string().contains("known: pol"));
        let brokers = Address::parse("kafka://a:1,[::1]:2/events").unwrap();
        assert_eq!(brokers.hosts(), ["a:1", "[::1]:2"]);
        assert!(Address::parse("redis://[::1]:6379/0").unwrap().is_loopback());
        assert!(!address.is_loopback());
    }

    #[test]
    fn passwords_are_not_shown() {
        let given = "postgres://merx:hunter2@db/shop?ca_file=x";
        let address = Address::parse(given).unwrap();
        for shown in [address.to_string(), format!("{address:?}"), address.bad("a", "b", "c").to_string()] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        for broken in ["postgres://merx:hunter2@/shop", "merx:hunter2@db", "postgres://merx:hunter2@db:port/x"] {
            let error = Address::parse(broken).unwrap_err();
            assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn passwords_come_from_files_and_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let address = Address::parse(&format!("redis://host/0?password_file={}", file.display())).unwrap();
        assert!(address.password().unwrap_err().to_string().contains("can't be read"));
        for text in ["first\n", "second\n"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(address.password().unwrap().unwrap().reveal(), text.trim_end(), "read anew each time");
        }
        let unset = Address::parse("redis://host/0?password_env=MERX_NO_SUCH").unwrap();
        assert!(unset.password().unwrap_err().to_string().contains("is not set"));
        let both = Address::parse("redis://:a@host/0?password_env=PATH").unwrap_err();
        assert!(both.to_string().contains("more than one password"));
    }
}
