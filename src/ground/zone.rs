//! Time zones by name, from a table that is part of the program: the same on every machine.

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// A time zone by its IANA name; `None`: no such name.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    TimeZoneDatabase::bundled().get(name).ok()
}
