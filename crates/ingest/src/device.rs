//! The class of device behind a user agent. The text itself is not kept: in full it singles people out.

use merx_domain::Device;

/// Libraries that run on servers name themselves after their language.
const SERVER_LIBRARIES: &[&str] =
    &["node", "python", "ruby", "java", "golang", "go", "php", ".net", "rust", "c#", "http"];

pub(crate) fn of_user_agent(agent: &str) -> Device {
    let has = |part: &str| agent.contains(part);
    if has("iPad") || has("Tablet") || has("Kindle") || (has("Android") && !has("Mobile")) {
        Device::Tablet
    } else if has("Mobi") || has("iPhone") || has("Android") {
        Device::Phone
    } else if has("Windows NT") || has("Macintosh") || has("X11") || has("CrOS") {
        Device::Desktop
    } else {
        Device::Unknown
    }
}

/// `analytics-node` and `@segment/analytics-node` are servers, `analytics.js` and `analytics-android` are not.
pub(crate) fn is_server_library(name: &str) -> bool {
    name.split(['-', '/', '_', ' ']).any(|word| SERVER_LIBRARIES.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_common_user_agents() {
        let cases = [
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148", Device::Phone),
            ("Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/140.0 Mobile Safari/537.36", Device::Phone),
            ("Mozilla/5.0 (Linux; Android 15; SM-X910) Chrome/140.0 Safari/537.36", Device::Tablet),
            ("Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) Mobile/15E148", Device::Tablet),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0", Device::Desktop),
            ("Mozilla/5.0 (X11; Linux x86_64) Firefox/144.0", Device::Desktop),
            ("curl/8.0", Device::Unknown),
        ];
        for (agent, device) in cases {
            assert_eq!(of_user_agent(agent), device, "{agent}");
        }
    }

    #[test]
    fn server_libraries_are_told_from_browser_and_app_libraries() {
        assert!(is_server_library("@segment/analytics-node"));
        assert!(is_server_library("analytics-python"));
        assert!(!is_server_library("analytics.js"));
        assert!(!is_server_library("analytics-android"));
    }
}
