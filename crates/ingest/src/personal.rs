//! Keeps what names a person out of the properties of events: by the name of the field, and by the look of its value.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::unquoted;

/// Field names that hold nothing but personal data, lower case, without separators.
const EXACT: &[&str] = &[
    "address",
    "birthday",
    "cc",
    "city",
    "dob",
    "fax",
    "ip",
    "ipaddr",
    "lat",
    "latitude",
    "lng",
    "longitude",
    "mail",
    "mobile",
    "msisdn",
    "phone",
    "recipient",
    "sharemessage",
    "ssn",
    "street",
    "surname",
    "tel",
    "telephone",
    "useragent",
    "username",
    "zip",
];

/// Parts of field names that give personal data away wherever they stand (`billing_address_line1`, `userEmail`).
const PARTS: &[&str] = &[
    "email",
    "phonenumber",
    "mobilenumber",
    "firstname",
    "lastname",
    "middlename",
    "fullname",
    "familyname",
    "givenname",
    "customername",
    "recipientname",
    "birthdate",
    "dateofbirth",
    "billingaddress",
    "shippingaddress",
    "deliveryaddress",
    "streetaddress",
    "ipaddress",
    "postcode",
    "postalcode",
    "zipcode",
    "password",
    "passport",
    "cardnumber",
    "creditcard",
    "iban",
    "socialsecurity",
    "taxid",
    "anonymousid",
    "userid",
    "customerid",
    "advertisingid",
    "deviceid",
];

/// Longest field name that is looked at in full; a name cut here still shows its parts.
const KEY_BYTES: usize = 64;

/// Whether a field of this name holds personal data. Case and separators don't count.
pub(crate) fn names_a_person(key: &str) -> bool {
    let mut buffer = [0_u8; KEY_BYTES];
    let letters = key.bytes().filter(u8::is_ascii_alphanumeric).take(KEY_BYTES);
    let mut length = 0;
    for (slot, byte) in buffer.iter_mut().zip(letters) {
        *slot = byte.to_ascii_lowercase();
        length += 1;
    }
    let plain = std::str::from_utf8(&buffer[..length]).unwrap_or_default();
    // The shortest part has four letters.
    EXACT.binary_search(&plain).is_ok() || (length >= 4 && PARTS.iter().any(|part| plain.contains(part)))
}

/// Whether a text looks like a mail address, a phone number, an IP address or a payment card.
pub(crate) fn looks_personal(text: &str) -> bool {
    has_mail_address(text) || is_phone(text) || is_ip_address(text) || is_payment_card(text)
}

fn has_mail_address(text: &str) -> bool {
    text.match_indices('@').any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let domain =
            text[at + 1..].split(|c: char| c.is_whitespace() || c == ',' || c == '>').next().unwrap_or_default();
        before.is_some_and(|c| !c.is_whitespace()) && domain.trim_end_matches('.').contains('.')
    }) || text.contains("%40")
}

/// International numbers only (`+49 30 ..`): digits without a plus may be an order number.
fn is_phone(text: &str) -> bool {
    let Some(rest) = text.trim().strip_prefix('+').or_else(|| text.trim().strip_prefix("tel:")) else {
        return false;
    };
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    (7..=15).contains(&digits) && rest.bytes().all(|b| b.is_ascii_digit() || b" ()-./+".contains(&b))
}

fn is_ip_address(text: &str) -> bool {
    let text = text.trim();
    let may_be_one = (2..=45).contains(&text.len()) && (text.contains(':') || text.matches('.').count() == 3);
    may_be_one && text.parse::<std::net::IpAddr>().is_ok()
}

/// 15 to 19 digits with a right check digit; article numbers (GTIN) have at most 14.
fn is_payment_card(text: &str) -> bool {
    let text = text.trim();
    if text.len() < 15 || text.len() > 30 || !text.bytes().all(|b| b.is_ascii_digit() || b == b' ' || b == b'-') {
        return false;
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).map(|b| u32::from(b - b'0'));
    if !(15..=19).contains(&digits.clone().count()) {
        return false;
    }
    let sum: u32 = digits.rev().enumerate().map(|(i, d)| if i % 2 == 1 { d * 2 / 10 + d * 2 % 10 } else { d }).sum();
    sum.is_multiple_of(10)
}

/// An address on the web without its query and fragment, where tokens and mail addresses travel.
pub(crate) fn without_query(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or_default()
}

fn is_web_address(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// The JSON text of a property without what names a person; `None` where nothing is left.
pub(crate) fn clean(value: &RawValue) -> Option<String> {
    let raw = value.get();
    match raw.as_bytes().first()? {
        b'"' => clean_text(raw),
        b'{' | b'[' => {
            let mut value: Value = serde_json::from_str(raw).ok()?;
            clean_nested(&mut value).then(|| value.to_string())
        }
        b'n' => None,
        _ => (!is_payment_card(raw)).then(|| raw.to_owned()),
    }
}

fn clean_text(raw: &str) -> Option<String> {
    let text = unquoted(raw)?;
    if is_web_address(&text) {
        let address = without_query(&text);
        return (!looks_personal(address)).then(|| Value::from(address).to_string());
    }
    (!looks_personal(&text)).then(|| raw.to_owned())
}

/// Removes personal members; returns whether anything is left.
fn clean_nested(value: &mut Value) -> bool {
    match value {
        Value::Object(members) => {
            members.retain(|key, member| !names_a_person(key) && clean_nested(member));
            !members.is_empty()
        }
        Value::Array(items) => {
            items.retain_mut(clean_nested);
            !items.is_empty()
        }
        Value::String(text) => {
            if is_web_address(text) {
                let keep = without_query(text).len();
                text.truncate(keep);
            }
            !looks_personal(text)
        }
        Value::Number(number) => !is_payment_card(&number.to_string()),
        Value::Bool(_) => true,
        Value::Null => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_the_search() {
        assert!(EXACT.is_sorted());
    }

    #[test]
    fn field_names_are_found_in_any_spelling() {
        for key in ["email", "userEmail", "E-Mail", "billing_address_line1", "First Name", "ip", "IP_Address", "phone"]
        {
            assert!(names_a_person(key), "{key}");
        }
        for key in ["name", "coupon", "shipping", "zip_lock_bag", "ship_via", "checkout_id", "size", "tip"] {
            assert!(!names_a_person(key), "{key}");
        }
    }

    #[test]
    fn values_are_found_by_their_look() {
        for text in [
            "jo@shop.example",
            "write to jo@shop.example, please",
            "jo%40shop.example",
            "+49 (30) 1234-567",
            "203.0.113.9",
            "2001:db8::1",
            "4111 1111 1111 1111",
        ] {
            assert!(looks_personal(text), "{text}");
        }
        for text in ["@home", "30 @ 2.50", "4006381333931", "1.2.3", "10:30", "ORDER-4111", "4111111111111112", ""] {
            assert!(!looks_personal(text), "{text}");
        }
    }

    fn cleaned(json: &str) -> Option<String> {
        clean(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn nested_values_lose_only_their_personal_members() {
        assert_eq!(
            cleaned(r#"{"gift":{"to_email":"jo@shop.example","wrap":"red"},"notes":["a","+49 30 1234567"]}"#)
                .as_deref(),
            Some(r#"{"gift":{"wrap":"red"},"notes":["a"]}"#)
        );
        assert_eq!(cleaned(r#"{"email":"x"}"#), None);
        assert_eq!(cleaned(r#""jo\u0040shop.example""#), None);
        assert_eq!(cleaned(r#""https://shop.example/a?token=1""#).as_deref(), Some(r#""https://shop.example/a""#));
        assert_eq!(cleaned("12.50").as_deref(), Some("12.50"));
    }
}
