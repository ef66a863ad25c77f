//! Spellings of one mail address or phone number. Names are kept as they came; who asks may write them another way.

use merx_domain::IdentityKind;

/// What spellings of a name have in common: of mail addresses the small letters, of phone numbers the digits, the country's first (`+49 30`,
/// `0049 (0)30` and `0049-30` are one; `030` alone names no country and stays as it is). Other names are what they are.
pub fn canonical(kind: IdentityKind, value: &str) -> String {
    let value = value.trim();
    match kind {
        IdentityKind::Email => value.strip_prefix("mailto:").unwrap_or(value).to_lowercase(),
        IdentityKind::Phone => phone(value.strip_prefix("tel:").unwrap_or(value)),
        _ => value.to_owned(),
    }
}

fn phone(value: &str) -> String {
    let is_written_out = value.starts_with('+') || value.starts_with("00");
    let value = if is_written_out { value.replacen("(0)", "", 1) } else { value.to_owned() };
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() {
        return value;
    }
    if !is_written_out {
        return digits;
    }
    format!("+{}", digits.strip_prefix("00").unwrap_or(&digits))
}

/// How a canonical name is commonly written, so that a digest of it can be told.
pub(super) fn common(kind: IdentityKind, canonical: &str) -> Vec<String> {
    let mut spellings = vec![canonical.to_owned()];
    if let (IdentityKind::Phone, Some(digits)) = (kind, canonical.strip_prefix('+')) {
        spellings.extend([digits.to_owned(), format!("00{digits}")]);
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_one_and_those_of_others_are_not() {
        let same = |kind, one: &str, other: &str| canonical(kind, one) == canonical(kind, other);
        let (mail, number) = (IdentityKind::Email, IdentityKind::Phone);
        assert!(same(mail, " Kim@Post.Example ", "kim@post.example"));
        assert!(same(mail, "KIM@ÖRTCHEN.example", "kim@örtchen.example"));
        assert!(!same(mail, "kim@post.example", "kim@post.exampl"));
        for spelling in ["+49 30 123456", "0049 30 123456", "+49 (0)30 / 123-456", "tel:+4930123456", "0049(30)123456"]
        {
            assert!(same(number, spelling, "+4930123456"), "{spelling}");
        }
        assert!(!same(number, "030 123456", "+49 30 123456"), "of which country?");
        assert!(same(number, "030 123456", "030/123456"));
        assert!(!same(number, "ext", ""));
        assert!(!same(IdentityKind::UserId, "Kim", "kim"));
    }
}
