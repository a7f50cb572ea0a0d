//! stub
use std::net::IpAddr;
/// stub
#[allow(missing_docs)]
pub enum Kind {
    Sdp,
    Multipart { boundary: String },
    Scrub,
    Pass,
    Unknown,
}
impl Kind {
    /// s
    pub fn of(_c: Option<&str>) -> Self {
        todo!()
    }
}
/// s
pub struct Part;
#[allow(missing_docs)]
impl Part {
    pub fn content_type(&self) -> Option<&str> {
        None
    }
    pub fn body(&self) -> &[u8] {
        &[]
    }
    pub fn set_body(&mut self, _b: Vec<u8>) {}
}
/// s
pub fn split(_b: &[u8], _x: &str) -> Result<Vec<Part>, String> {
    todo!()
}
/// s
pub fn join(_p: &[Part], _b: &str) -> Vec<u8> {
    todo!()
}
/// s
pub fn scrub(_b: &[u8], _f: impl Fn(IpAddr) -> bool, _s: &str) -> Vec<u8> {
    todo!()
}
