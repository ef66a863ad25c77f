//! Carries alerts to webhooks and by e-mail, and the states of privacy requests to whoever asked to be told.
//!
//! One thread asks for what is due and says what became of it; when a try failed, `merx_decide` says when the next one is. A slow
//! receiver holds up only others that wait: each try ends after ten seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{Message, SmtpTransport, Transport};
use merx_decide::{Alert, Alerts, AuditLog, Delivery, Target, wait_after_ms};
use merx_domain::{Clock, TimestampMs};
use merx_serve::PrivacySettings;
use serde_json::json;
use sha2::Sha256;

use crate::background::Repeated;
use crate::config::AlertsConfig;
use crate::shop::Shop;

const LOOK_ROUND: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 20;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Carries alerts where this process leads, until the returned thread is dropped. A configuration that can't be used is an error at start and not at the
/// first alert.
pub(crate) fn carry_alerts(book: Arc<Alerts>, shop: Arc<Shop>, config: &AlertsConfig) -> Result<Repeated> {
    let bag = Bag { agent: agent(), mail: Mail::of(config)? };
    book.tell_by_mail(bag.mail.is_some());
    Repeated::start("courier", LOOK_ROUND, move |stopping| match shop.leads() {
        true => carry(&book, &bag, shop.clock.as_ref(), stopping),
        false => Ok(()),
    })
}

/// Tells status callbacks of privacy requests, signed, until the returned thread is dropped.
pub(crate) fn carry_states(shop: Arc<Shop>, settings: PrivacySettings) -> Result<Repeated> {
    let agent = agent();
    let audit = AuditLog::new(Arc::clone(&shop.store.records));
    Repeated::start("callbacks", LOOK_ROUND, move |stopping| {
        if !shop.leads() {
            return Ok(());
        }
        let requests = &shop.ingest.requests;
        for callback in requests.callbacks_due(shop.clock.now(), AT_ONCE)? {
            if stopping.load(Ordering::Relaxed) {
                break;
            }
            let Some(request) = requests.get(&callback.request)? else { continue };
            let state = request.state;
            let (body, headers) = merx_serve::status_callback(&settings, &audit, request)?;
            match post_json(&agent, &callback.url, &headers, &body) {
                Ok(()) => requests.callback_told(&callback, state)?,
                Err(error) => {
                    let next = wait_after_ms(callback.tries + 1).map(|wait| shop.clock.now().plus_ms(wait));
                    let (request, tries) = (&callback.request, callback.tries + 1);
                    tracing::warn!(request, tries, error = format!("{error:#}"), "a status callback did not arrive");
                    requests.callback_failed(&callback, next)?;
                }
            }
        }
        Ok(())
    })
}

struct Bag {
    agent: ureq::Agent,
    mail: Option<Mail>,
}

fn agent() -> ureq::Agent {
    // Where a receiver sends us elsewhere nobody has agreed to tell: redirects are failures.
    let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).max_redirects(0).build();
    config.into()
}

fn carry(book: &Alerts, bag: &Bag, clock: &dyn Clock, stopping: &AtomicBool) -> Result<()> {
    for delivery in book.due(clock.now(), AT_ONCE)? {
        if stopping.load(Ordering::Relaxed) {
            break;
        }
        let outcome = tell(book, bag, &delivery, clock.now()).map_err(|error| format!("{error:#}"));
        if let Err(error) = &outcome {
            tracing::warn!(delivery = delivery.id(), tries = delivery.tries + 1, error, "an alert did not arrive");
        }
        book.tried(delivery, outcome, clock.now())?;
    }
    Ok(())
}

fn tell(book: &Alerts, bag: &Bag, delivery: &Delivery, now: TimestampMs) -> Result<()> {
    let alert = book.get(delivery.alert)?;
    match &delivery.target {
        Target::Mail => bag.mail.as_ref().context("no e-mail is configured any more")?.send(&alert),
        Target::Webhook(id) => {
            let webhook = book.webhooks()?.into_iter().find(|webhook| webhook.id == *id);
            let webhook = webhook.context("the webhook was removed")?;
            post(&bag.agent, &webhook.url, &webhook.secret, &delivery.id(), &body(&alert), now)
        }
    }
}

/// What receivers read.
fn body(alert: &Alert) -> String {
    json!({
        "type": format!("alert.{}", alert.kind.name()),
        "timestamp": alert.at.to_string(),
        "data": {
            "number": alert.number, "kind": alert.kind, "severity": alert.severity, "state": alert.state,
            "automation": alert.automation, "words": alert.words, "detail": alert.detail,
        },
    })
    .to_string()
}

fn post(agent: &ureq::Agent, url: &str, secret: &str, id: &str, body: &str, now: TimestampMs) -> Result<()> {
    let timestamp = now.0.div_euclid(1_000);
    let headers = [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", signature(secret, id, timestamp, body)?),
    ];
    post_json(agent, url, &headers, body)
}

fn post_json(agent: &ureq::Agent, url: &str, headers: &[(&'static str, String)], body: &str) -> Result<()> {
    let agent_name = concat!("Merx/", env!("CARGO_PKG_VERSION"));
    let request = agent.post(url).header("content-type", "application/json").header("user-agent", agent_name);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
    let response = request.send(body)?;
    if !response.status().is_success() {
        bail!("it was answered with {}", response.status());
    }
    Ok(())
}

/// `v1,` and base64 of HMAC-SHA256 over id, timestamp and body: Standard Webhooks 1.0, "signature scheme".
fn signature(secret: &str, id: &str, timestamp: i64, body: &str) -> Result<String> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).context("the webhook's secret")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).context("the webhook's secret")?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// Who is told by e-mail, and through whom.
struct Mail {
    transport: SmtpTransport,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Mail {
    /// `None`: nobody is.
    fn of(config: &AlertsConfig) -> Result<Option<Self>> {
        if config.smtp_host.is_empty() || config.mail_to.is_empty() {
            return Ok(None);
        }
        let host = config.smtp_host.as_str();
        let builder = match config.smtp_security.as_str() {
            "tls" => SmtpTransport::relay(host)?,
            "starttls" => SmtpTransport::starttls_relay(host)?,
            "none" => SmtpTransport::builder_dangerous(host),
            other => bail!("alerts.smtp_security = {other:?}: expected starttls, tls or none"),
        };
        let mut builder = builder.port(config.smtp_port).timeout(Some(TIMEOUT));
        if !config.smtp_user.is_empty() {
            let password = std::env::var("MERX_SMTP_PASSWORD").unwrap_or_default();
            builder = builder.credentials(Credentials::new(config.smtp_user.clone(), password));
        }
        let mailbox = |text: &String| text.parse::<Mailbox>().with_context(|| format!("the e-mail address {text:?}"));
        let to = config.mail_to.iter().map(mailbox).collect::<Result<_>>()?;
        Ok(Some(Self { transport: builder.build(), from: mailbox(&config.mail_from)?, to }))
    }

    fn send(&self, alert: &Alert) -> Result<()> {
        let subject = format!("[Merx] {}: {}", alert.severity.name(), alert.words);
        let subject: String = subject.chars().filter(|character| !character.is_control()).take(150).collect();
        let detail = serde_json::to_string_pretty(&alert.detail).unwrap_or_default();
        let text =
            format!("{}\n\n{} alert {} of {}\n{detail}\n", alert.words, alert.kind.name(), alert.number, alert.at);
        let to = self.to.iter().cloned();
        let message = to.fold(Message::builder().from(self.from.clone()), lettre::message::MessageBuilder::to);
        self.transport.send(&message.subject(subject).body(text)?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// The example of the Standard Webhooks libraries' own tests.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    fn alert() -> Alert {
        serde_json::from_value(
            json!({ "number": 7, "at": 0, "automation": "recommend", "words": "too slow\r\nBcc: all" }),
        )
        .unwrap()
    }

    /// Speaks just enough SMTP to take one message.
    #[test]
    fn mail_arrives_with_its_words_and_no_header_of_anybody_else() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let (mut answers, mut lines) = (stream.try_clone().unwrap(), BufReader::new(stream).lines());
            answers.write_all(b"220 test\r\n").unwrap();
            let (mut said, mut in_data) = (Vec::new(), false);
            while let Some(Ok(line)) = lines.next() {
                said.push(line.clone());
                let answer: &[u8] = match line.as_str() {
                    "." if in_data => {
                        in_data = false;
                        b"250 taken\r\n"
                    }
                    _ if in_data => continue,
                    "DATA" => {
                        in_data = true;
                        b"354 go on\r\n"
                    }
                    "QUIT" => break,
                    _ => b"250 ok\r\n",
                };
                answers.write_all(answer).unwrap();
            }
            said
        });
        let config = AlertsConfig {
            fairness_groups: Default::default(),
            smtp_host: "127.0.0.1".to_owned(),
            smtp_port: port,
            smtp_security: "none".to_owned(),
            smtp_user: String::new(),
            mail_from: "Merx <merx@shop.example>".to_owned(),
            mail_to: vec!["anna@shop.example".to_owned(), "bert@shop.example".to_owned()],
        };
        let mail = Mail::of(&config).unwrap().unwrap();
        mail.send(&alert()).unwrap();
        drop(mail);
        let said = server.join().unwrap();
        let recipients = said.iter().filter(|line| line.starts_with("RCPT TO:")).count();
        assert_eq!(recipients, 2, "{said:?}");
        assert!(said.iter().any(|line| line.starts_with("Subject: [Merx] warning: too slowBcc: all")), "{said:?}");
        assert!(!said.iter().take_while(|line| !line.is_empty()).any(|line| line.starts_with("Bcc")));
        assert!(Mail::of(&AlertsConfig { mail_to: Vec::new(), ..config }).unwrap().is_none());
    }
}
