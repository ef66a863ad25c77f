//! ID tokens: a signature by one of the issuer's published keys, and claims that are meant for this sign-in (OpenID Connect Core 1.0, 3.1.3.7).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use merx_domain::TimestampMs;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq;

/// Clocks of issuers may be so far off.
const LEEWAY_S: i64 = 60;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the ID token is no signed JSON web token")]
    Form,
    #[error("the ID token is signed by {0}; RS256 and ES256 are taken")]
    Algorithm(String),
    #[error("the issuer publishes no key {0:?} for its ID token")]
    UnknownKey(String),
    #[error("the ID token's signature is not by its issuer's key")]
    Signature,
    #[error("the ID token's claim {0} is not what it must be")]
    Claim(&'static str),
}

/// The keys that an issuer publishes (RFC 7517).
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct KeySet {
    keys: Vec<PublicKey>,
}

#[derive(Debug, Clone, Deserialize)]
struct PublicKey {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
}

/// What a token must say.
pub(crate) struct Expected<'e> {
    pub(crate) issuer: &'e str,
    pub(crate) client_id: &'e str,
    pub(crate) nonce: &'e str,
    pub(crate) now: TimestampMs,
}

impl KeySet {
    /// The claims of a token that one of these keys has signed, once they are what is expected.
    pub(crate) fn verify(&self, token: &str, expected: &Expected<'_>) -> Result<Value, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
        let (head, claims) = signed.split_once('.').ok_or(TokenError::Form)?;
        let head: Head = serde_json::from_slice(&decode(head)?).map_err(|_| TokenError::Form)?;
        let signature = decode(signature)?;
        if !matches!(head.alg.as_str(), "RS256" | "ES256") {
            return Err(TokenError::Algorithm(head.alg));
        }
        let mut fitting = self.keys.iter().filter(|key| key.signs(&head)).peekable();
        if fitting.peek().is_none() {
            return Err(TokenError::UnknownKey(head.kid.unwrap_or_default()));
        }
        if !fitting.any(|key| key.has_signed(signed.as_bytes(), &signature)) {
            return Err(TokenError::Signature);
        }
        let claims: Value = serde_json::from_slice(&decode(claims)?).map_err(|_| TokenError::Form)?;
        expected.check(&claims)?;
        Ok(claims)
    }
}

impl PublicKey {
    /// A key says by its own type which algorithm it is good for: never by what the token claims alone.
    fn signs(&self, head: &Head) -> bool {
        let kind = match head.alg.as_str() {
            "RS256" => self.kty == "RSA",
            _ => self.kty == "EC" && self.crv.as_deref() == Some("P-256"),
        };
        let named = head.kid.is_none() || self.kid == head.kid;
        kind && named && self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        if self.kty == "RSA" {
            let (Ok(n), Ok(e)) = (decode(&self.n), decode(&self.e)) else { return false };
            return RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok();
        }
        let (Ok(x), Ok(y)) = (decode(&self.x), decode(&self.y)) else { return false };
        // An uncompressed point (SEC 1, 2.3.3).
        let point: Vec<u8> = [0x04].into_iter().chain(x).chain(y).collect();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
    }
}

impl Expected<'_> {
    fn check(&self, claims: &Value) -> Result<(), TokenError> {
        let audience: Vec<&str> = match &claims["aud"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let party = claims["azp"].as_str();
        let now_s = self.now.0 / 1_000;
        let seconds = |name: &str| claims[name].as_f64().map(|value| value as i64);
        let nonce = claims["nonce"].as_str().unwrap_or_default();
        let sound = [
            ("iss", claims["iss"].as_str() == Some(self.issuer)),
            ("aud", audience.contains(&self.client_id)),
            ("azp", party.map_or(audience.len() == 1, |party| party == self.client_id)),
            ("exp", seconds("exp").is_some_and(|end| now_s < end.saturating_add(LEEWAY_S))),
            ("iat", seconds("iat").is_some_and(|begin| begin <= now_s + LEEWAY_S)),
            ("nbf", seconds("nbf").is_none_or(|begin| begin <= now_s + LEEWAY_S)),
            ("nonce", bool::from(nonce.as_bytes().ct_eq(self.nonce.as_bytes()))),
            ("sub", claims["sub"].as_str().is_some_and(|subject| !subject.is_empty())),
        ];
        sound.iter().find(|(_, holds)| !holds).map_or(Ok(()), |(name, _)| Err(TokenError::Claim(name)))
    }
}

fn decode(text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| TokenError::Form)
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    const NOW: TimestampMs = TimestampMs(1_795_228_774_000);

    struct Signer(EcdsaKeyPair);

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap())
        }

        fn published(&self, kid: &str) -> KeySet {
            let point = self.0.public_key().as_ref();
            let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
            let key = json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": x, "y": y});
            serde_json::from_value(json!({ "keys": [key] })).unwrap()
        }

        fn sign(&self, head: &Value, claims: &Value) -> String {
            let signed = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
            let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }
    }

    fn claims() -> Value {
        let now_s = NOW.0 / 1_000;
        json!({"iss": "https://id.example", "aud": "merx", "sub": "7", "nonce": "n", "iat": now_s, "exp": now_s + 300})
    }

    fn expected() -> Expected<'static> {
        Expected { issuer: "https://id.example", client_id: "merx", nonce: "n", now: NOW }
    }

    #[test]
    fn a_token_of_the_issuer_is_taken_and_every_other_is_not() {
        let (signer, stranger) = (Signer::new(), Signer::new());
        let keys = signer.published("k1");
        let head = json!({"alg": "ES256", "kid": "k1"});
        assert_eq!(keys.verify(&signer.sign(&head, &claims()), &expected()).unwrap()["sub"], "7");
        let refused = |token: &str| keys.verify(token, &expected()).unwrap_err();
        assert_eq!(refused(&stranger.sign(&head, &claims())), TokenError::Signature);
        let other = signer.sign(&json!({"alg": "ES256", "kid": "k2"}), &claims());
        assert_eq!(refused(&other), TokenError::UnknownKey("k2".into()));
        // A curve's key checks no RSA signature, and nothing goes unsigned or by a shared secret.
        let confused = signer.sign(&json!({"alg": "RS256", "kid": "k1"}), &claims());
        assert_eq!(refused(&confused), TokenError::UnknownKey("k1".into()));
        for alg in ["none", "HS256", "es256"] {
            let token = signer.sign(&json!({"alg": alg, "kid": "k1"}), &claims());
            assert_eq!(refused(&token), TokenError::Algorithm(alg.into()));
        }
        // The same signature under other claims.
        let token = signer.sign(&head, &claims());
        let (_, signature) = token.rsplit_once('.').unwrap();
        let mut raised = claims();
        raised["groups"] = json!(["owners"]);
        let forged =
            format!("{}.{signature}", [&head, &raised].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join("."));
        assert_eq!(refused(&forged), TokenError::Signature);
        for broken in ["", "a.b", "a.b.c", "....", &token[..token.len() - 4]] {
            assert!(matches!(refused(broken), TokenError::Form | TokenError::Signature), "{broken}");
        }
    }

    #[test]
    fn claims_must_be_meant_for_this_sign_in() {
        let signer = Signer::new();
        let keys = signer.published("k1");
        let now_s = NOW.0 / 1_000;
        let wrong = [
            ("iss", json!("https://evil.example")),
            ("aud", json!("another")),
            ("aud", json!([])),
            ("exp", json!(now_s - 61)),
            ("exp", Value::Null),
            ("iat", json!(now_s + 61)),
            ("nbf", json!(now_s + 61)),
            ("nonce", json!("m")),
            ("nonce", Value::Null),
            ("sub", json!("")),
            ("azp", json!("another")),
        ];
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            signer.sign(&json!({"alg": "ES256"}), &claims)
        };
        for (name, value) in wrong {
            let refused = keys.verify(&with(name, value.clone()), &expected());
            assert_eq!(refused, Err(TokenError::Claim(name)), "{name}: {value}");
        }
        // Of several audiences the token names the one that it was made for.
        assert_eq!(keys.verify(&with("aud", json!(["merx", "other"])), &expected()), Err(TokenError::Claim("azp")));
        let mut several = claims();
        (several["aud"], several["azp"]) = (json!(["merx", "other"]), json!("merx"));
        assert!(keys.verify(&signer.sign(&json!({"alg": "ES256"}), &several), &expected()).is_ok());
    }

    /// The example of RFC 7515, appendix A.2, checked with the key that it prints: RSA of others' making.
    #[test]
    fn the_rsa_signature_of_the_standard_is_checked() {
        let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let keys: KeySet = serde_json::from_value(json!({"keys": [{"kty": "RSA", "n": n, "e": "AQAB"}]})).unwrap();
        // The signature holds; that the example has no audience is found after it.
        let expected = Expected { issuer: "joe", ..expected() };
        assert_eq!(keys.verify(token, &expected), Err(TokenError::Claim("aud")));
        let broken = token.replace("cC4h", "cC4i");
        assert_eq!(keys.verify(&broken, &expected), Err(TokenError::Signature));
    }
}
