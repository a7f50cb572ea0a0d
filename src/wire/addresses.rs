//! stub
use std::net::IpAddr;
use std::ops::Range;
/// stub
pub fn find_addresses(_t: &[u8]) -> impl Iterator<Item = (Range<usize>, IpAddr)> + '_ {
    std::iter::empty()
}
