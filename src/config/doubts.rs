//! What is right as written and yet hardly meant: told at the start, by `config check` and by
//! `status`, before it is a call that shows it. What can never work is a fault, and stands in
//! `checks`.

use super::Config;
use crate::ground::Side;

impl Config {
    /// Every doubt, a sentence each.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        self.loopback().into_iter().chain(self.no_trunk()).collect()
    }

    /// True when no phone of another machine can reach this: every inside address is loopback.
    #[must_use]
    pub fn is_loopback_only(&self) -> bool {
        let mut inside = self.interfaces.iter().filter(|i| i.side == Side::Inside);
        inside.all(|i| i.address.is_loopback())
    }

    fn loopback(&self) -> Option<String> {
        let inside = self.interfaces.iter().find(|i| i.side == Side::Inside)?;
        let pick = if self.is_site() { "--listen ADDRESS" } else { "its `address`" };
        self.is_loopback_only().then(|| {
            format!(
                "loopback only ({}): no phone on another machine can reach this; {pick} changes it",
                inside.address
            )
        })
    }

    /// Emergency numbers that nobody takes.
    fn no_trunk(&self) -> Option<String> {
        let numbers = self.policy.emergency.join(", ");
        let nobody =
            self.is_site() && !numbers.is_empty() && self.policy.emergency_target.is_none();
        nobody.then(|| {
            format!(
                "no trunk: {numbers} reach nobody; emergency.target = \"101\" would ring that phone"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn loopback_alone_is_told_and_chosen_addresses_are_not() {
        let site = |ip: &str| Config::site(ip.parse::<IpAddr>().unwrap(), &[], "x");
        let told = site("127.0.0.1").doubts().concat();
        assert!(told.starts_with("loopback only (127.0.0.1): no phone"), "{told}");
        assert!(told.contains("--listen ADDRESS"), "{told}");
        let reachable = site("192.168.1.10").doubts().concat();
        assert!(!reachable.contains("loopback"), "{reachable}");
    }

    #[test]
    fn emergency_numbers_that_reach_nobody_are_told() {
        let mut c = Config::site("192.168.1.10".parse().unwrap(), &[], "x");
        let told = c.doubts().concat();
        assert!(told.starts_with("no trunk: 112, 911, 999, 110 reach nobody"), "{told}");
        c.policy.emergency_target = Some("101".to_owned());
        assert_eq!(c.doubts(), [""; 0], "a phone gets them");
        c.policy.emergency_target = None;
        c.policy.emergency.clear();
        assert_eq!(c.doubts(), [""; 0], "there are none here");
    }
}
