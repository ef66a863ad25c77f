//! The `context` object of a tracking call: where it happened and what the person allows.

use std::borrow::Cow;
use std::fmt;

use merx_domain::{ConsentStamp, Device, EventContext, MarketId, Purposes, tcf};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::device;
use crate::json::text;
use crate::personal::{looks_personal, without_query};
use crate::rules::{ConsentCategories, MarketRules, Rules};

/// Longest text of the context that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 200;

/// Members of `context` that are read; IP addresses, advertising ids and traits are not among them.
#[derive(Debug, Default)]
pub(crate) struct Context<'a> {
    user_agent: Option<&'a RawValue>,
    locale: Option<&'a RawValue>,
    page: Option<Page<'a>>,
    campaign: Option<Campaign<'a>>,
    device: Option<DeviceInfo<'a>>,
    library: Option<Library<'a>>,
    consent: Option<Consent<'a>>,
    decision_id: Option<&'a RawValue>,
    market: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    path: Option<&'a RawValue>,
    #[serde(borrow, default)]
    referrer: Option<&'a RawValue>,
    #[serde(borrow, default)]
    url: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct Campaign<'a> {
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct DeviceInfo<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    /// What Apple's App Tracking Transparency allows.
    #[serde(borrow, default, rename = "adTrackingEnabled")]
    ad_tracking: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct Library<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct Consent<'a> {
    #[serde(borrow, default, rename = "categoryPreferences")]
    categories: Option<Categories<'a>>,
    /// A consent string of IAB's TCF.
    #[serde(borrow, default, rename = "tcString")]
    tcf: Option<&'a RawValue>,
}

/// Category names with their raw answers, in the order sent.
#[derive(Debug, Default)]
struct Categories<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A key of an object, borrowed where nothing is escaped.
#[derive(Deserialize)]
pub(crate) struct Key<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Categories<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CategoriesVisitor;
        impl<'de> Visitor<'de> for CategoriesVisitor {
            type Value = Categories<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of consent categories")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut categories = Vec::new();
                while let Some(Key(name)) = map.next_key()? {
                    categories.push((name, map.next_value()?));
                }
                Ok(Categories(categories))
            }
        }
        deserializer.deserialize_map(CategoriesVisitor)
    }
}

/// Reads a context under the shop's rules, which name the key of the market.
struct ContextSeed<'r>(&'r MarketRules);

impl<'de> DeserializeSeed<'de> for ContextSeed<'_> {
    type Value = Context<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ContextSeed<'_> {
    type Value = Context<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut context = Context::default();
        while let Some(Key(key)) = map.next_key()? {
            if self.0.context.as_deref() == Some(&*key) {
                context.market = map.next_value()?;
                continue;
            }
            match &*key {
                "userAgent" => context.user_agent = map.next_value()?,
                "locale" => context.locale = map.next_value()?,
                "page" => context.page = map.next_value()?,
                "campaign" => context.campaign = map.next_value()?,
                "device" => context.device = map.next_value()?,
                "library" => context.library = map.next_value()?,
                "consent" => context.consent = map.next_value()?,
                "decision_id" | "decisionId" => context.decision_id = map.next_value()?,
                _ => {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
        Ok(context)
    }
}

impl<'a> Context<'a> {
    pub(crate) fn read(raw: &'a RawValue, rules: &Rules) -> Result<Self, serde_json::Error> {
        if raw.get().starts_with('[') {
            return Err(serde_json::Error::custom("expected an object, found a list"));
        }
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        ContextSeed(&rules.market).deserialize(&mut deserializer)
    }
}

/// The context of one event over the one of its batch: what the event says counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MergedContext<'c, 'a> {
    pub(crate) own: Option<&'c Context<'a>>,
    pub(crate) batch: Option<&'c Context<'a>>,
}

impl<'a> MergedContext<'_, 'a> {
    fn pick(&self, member: impl Fn(&Context<'a>) -> Option<&'a RawValue>) -> Option<Cow<'a, str>> {
        self.both().find_map(|context| text(member(context)))
    }

    fn both(&self) -> impl Iterator<Item = &Context<'a>> {
        self.own.into_iter().chain(self.batch)
    }

    pub(crate) fn decision_id(&self) -> Option<Cow<'a, str>> {
        self.pick(|context| context.decision_id)
    }

    pub(crate) fn market(&self) -> Option<Cow<'a, str>> {
        self.pick(|context| context.market)
    }

    /// Silence where there is no consent object.
    pub(crate) fn consent(&self, rules: &ConsentCategories, global_privacy_control: bool) -> ConsentStamp {
        let consent = self.both().find_map(|context| context.consent.as_ref());
        let stamp = consent.map(|consent| {
            let framework = consent.tcf.and_then(|raw| text(Some(raw))).map(|text| of_framework(&text));
            if let (Some(framework), None) = (framework, &consent.categories) {
                return framework;
            }
            let answers = consent.categories.iter().flat_map(|categories| &categories.0);
            let said = rules.stamp(answers.map(|(name, raw)| (&**name, says_yes(raw))));
            framework.unwrap_or_default().then(said)
        });
        let mut stamp = ConsentStamp { global_privacy_control, ..stamp.unwrap_or_default() };
        let ad_tracking = self.both().find_map(|context| context.device.as_ref()?.ad_tracking);
        if ad_tracking.is_some_and(|raw| raw.get() == "false") {
            stamp.denied |= Purposes::SALE_SHARING;
            stamp.granted -= Purposes::SALE_SHARING;
        }
        stamp
    }

    /// Everything an event keeps of its context but the market.
    pub(crate) fn to_event(self, server_channel: bool, request_agent: Option<&str>) -> EventContext {
        let library = self.pick(|context| context.library.as_ref()?.name);
        let version = self.pick(|context| context.library.as_ref()?.version);
        let is_server = server_channel || library.as_deref().is_some_and(device::is_server_library);
        let url = self.pick(|context| context.page.as_ref()?.url);
        let path = self.pick(|context| context.page.as_ref()?.path);
        EventContext {
            market: MarketId::default(),
            device: self.device(is_server, request_agent),
            locale: self.pick(|context| context.locale).as_deref().and_then(kept),
            page_path: path.as_deref().or(url.as_deref().map(path_of)).and_then(|path| kept(without_query(path))),
            referrer_host: self.pick(|context| context.page.as_ref()?.referrer).as_deref().and_then(host_of),
            campaign_source: self.pick(|context| context.campaign.as_ref()?.source).as_deref().and_then(kept),
            campaign_name: self.pick(|context| context.campaign.as_ref()?.name).as_deref().and_then(kept),
            library: library.map(|name| match version {
                Some(version) => compact_str::format_compact!("{name} {version}"),
                None => name.as_ref().into(),
            }),
        }
    }

    fn device(&self, is_server: bool, request_agent: Option<&str>) -> Device {
        if let Some(agent) = self.pick(|context| context.user_agent) {
            match device::of_user_agent(&agent) {
                Device::Unknown => {}
                known => return known,
            }
        }
        match self.pick(|context| context.device.as_ref()?.kind).as_deref() {
            Some("ios" | "android" | "iOS" | "Android") => Device::Phone,
            _ if is_server => Device::Server,
            _ => request_agent.map(device::of_user_agent).unwrap_or_default(),
        }
    }
}

/// A string that can't be read refuses what a sound one could have granted.
fn of_framework(text: &str) -> ConsentStamp {
    let nothing = tcf::TcfPurposes { consent: 0, legitimate_interest: 0 };
    tcf::decode(text).unwrap_or(nothing).stamp()
}

/// Only a clear yes is one.
fn says_yes(raw: &RawValue) -> bool {
    matches!(raw.get(), "true" | "\"true\"" | "\"granted\"" | "\"GRANTED\"")
}

fn kept(text: &str) -> Option<compact_str::CompactString> {
    (!text.is_empty() && text.len() <= MAX_TEXT_BYTES && !looks_personal(text)).then(|| text.into())
}

/// The path of an address on the web; a text without a scheme is a path already.
pub(crate) fn path_of(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else { return url };
    rest.find('/').map_or("/", |start| &rest[start..])
}

fn host_of(url: &str) -> Option<compact_str::CompactString> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    kept(host)
}

/// The region of a locale (`DE` of `de-DE` or `de_DE`).
pub(crate) fn region_of(locale: &str) -> Option<&str> {
    let region = locale.rsplit_once(['-', '_'])?.1;
    (region.len() == 2 && region.bytes().all(|b| b.is_ascii_alphabetic())).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consent_comes_from_strings_devices_and_categories() {
        let stamp = |context: &str| {
            let raw: &RawValue = serde_json::from_str(context).unwrap();
            let rules = Rules::new(merx_domain::Currency::EUR);
            let context = Context::read(raw, &rules).unwrap();
            MergedContext { own: Some(&context), batch: None }.consent(&rules.consent, false)
        };
        // Purposes 1, 5 and 6.
        let string = "CQuCLYAQuCLYAAfACBENCWEAAIwAAAEAAAYgAAAAAAAA.IAAA";
        let of_string = stamp(&format!(r#"{{"consent":{{"tcString":"{string}"}}}}"#));
        assert_eq!(of_string.granted, Purposes::PERSONALISATION);
        assert_eq!(of_string.denied, Purposes::ANALYTICS | Purposes::MARKETING);
        let both = format!(r#"{{"consent":{{"tcString":"{string}","categoryPreferences":{{"Analytics":true}}}}}}"#);
        assert_eq!(stamp(&both).granted, Purposes::PERSONALISATION | Purposes::ANALYTICS);
        assert_eq!(stamp(r#"{"consent":{"tcString":"nonsense"}}"#).granted, Purposes::empty());
        assert!(stamp(r#"{"consent":{"tcString":"nonsense"}}"#).denied.contains(Purposes::PERSONALISATION));
        assert_eq!(stamp(r#"{"device":{"adTrackingEnabled":false}}"#).denied, Purposes::SALE_SHARING);
        assert_eq!(stamp(r#"{"device":{"adTrackingEnabled":true}}"#), ConsentStamp::default());
    }

    #[test]
    fn addresses_are_cut_to_path_and_host() {
        assert_eq!(path_of("https://shop.example/a/b"), "/a/b");
        assert_eq!(path_of("https://shop.example"), "/");
        assert_eq!(host_of("https://jo:pw@shop.example/a?b").as_deref(), Some("shop.example"));
        assert_eq!(host_of("android-app"), None);
        assert_eq!(region_of("de-DE"), Some("DE"));
        assert_eq!(region_of("zh-Hant"), None);
    }
}
