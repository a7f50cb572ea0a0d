//! Who holds local ports, as /proc shows it. Nothing is bound to find out: a gateway that runs may
//! want the very port just then.

use crate::ground::Transport;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;

/// A listening socket in proc(5)'s table of TCP.
const LISTEN: &str = "0A";

/// A local port that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where; an unspecified address: all of its family.
    pub at: SocketAddr,
    /// Whose it is.
    pub uid: u32,
    inode: u64,
}

impl Held {
    /// Whether it keeps others from this place.
    #[must_use]
    pub fn covers(&self, at: SocketAddr) -> bool {
        let (own, ip) = (self.at.ip().to_canonical(), at.ip().to_canonical());
        let all = own.is_unspecified() && (own.is_ipv6() || ip.is_ipv4());
        self.at.port() == at.port() && (own == ip || all || ip.is_unspecified())
    }
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name, at most 15 octets of it.
    pub name: String,
    /// Who runs it.
    pub uid: Option<u32>,
}

/// Every port of a transport that is taken: bound (UDP) or listened at (TCP).
#[must_use]
pub fn held(transport: Transport) -> Vec<Held> {
    let kind = transport.carrier();
    let table = |kind: &str| std::fs::read_to_string(format!("/proc/net/{kind}"));
    let tables = [kind.to_owned(), format!("{kind}6")].map(|k| table(&k).unwrap_or_default());
    tables.iter().flat_map(|t| t.lines().skip(1)).filter_map(|l| row(l, transport)).collect()
}

/// Reads a line of /proc/net/udp, tcp, udp6 or tcp6.
fn row(line: &str, transport: Transport) -> Option<Held> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    if transport.is_reliable() && *words.get(3)? != LISTEN {
        return None;
    }
    let (ip, port) = words.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let (uid, inode) = (words.get(7)?.parse().ok()?, words.get(9)?.parse().ok()?);
    Some(Held { at: SocketAddr::new(address(ip)?, port), uid, inode })
}

/// An address as the kernel prints it: words of 32 bits in this machine's order.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = hex.get(at..at + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    if hex.len() == 8 {
        return word(0).map(|octets| Ipv4Addr::from(octets).into());
    }
    let mut octets = [0_u8; 16];
    for (index, part) in octets.chunks_exact_mut(4).enumerate() {
        part.copy_from_slice(&word(index * 8)?);
    }
    (hex.len() == 32).then(|| Ipv6Addr::from(octets).into())
}

/// The account whose process holds a local port: known where the process is out of our sight, too.
#[must_use]
pub fn owner(at: SocketAddr, transport: Transport) -> Option<u32> {
    held(transport).iter().find(|h| h.covers(at)).map(|h| h.uid)
}

/// The process that holds a local port, as far as /proc shows it to us.
#[must_use]
pub fn holder(at: SocketAddr, transport: Transport) -> Option<Process> {
    let held = held(transport);
    let inodes: Vec<String> =
        held.iter().filter(|h| h.covers(at)).map(|h| format!("socket:[{}]", h.inode)).collect();
    if inodes.is_empty() {
        return None;
    }
    let numbers = std::fs::read_dir("/proc")
        .ok()?
        .filter_map(|e| e.ok()?.file_name().to_string_lossy().parse::<u32>().ok());
    for pid in numbers {
        let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        let held = open.filter_map(Result::ok).any(|fd| {
            std::fs::read_link(fd.path())
                .is_ok_and(|l| inodes.iter().any(|i| l.as_os_str() == i.as_str()))
        });
        if held {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let uid = std::fs::metadata(format!("/proc/{pid}")).ok().map(|m| m.uid());
            return Some(Process { pid, name: name.trim().to_owned(), uid });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn who_holds_a_port_is_told_by_address_and_transport() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = udp.local_addr().unwrap();
        let own = holder(at, Transport::Udp).unwrap();
        assert_eq!(own.pid, std::process::id());
        assert!(own.uid.is_some() && !own.name.is_empty());
        assert_eq!(owner(at, Transport::Udp), own.uid);
        let elsewhere = SocketAddr::new("127.0.0.2".parse().unwrap(), at.port());
        assert!(held(Transport::Udp).iter().any(|h| h.at == at && !h.covers(elsewhere)));
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = tcp.local_addr().unwrap();
        assert_eq!(holder(at, Transport::Tcp).unwrap().pid, std::process::id());
    }

    #[test]
    fn a_row_of_the_kernel_is_read_and_an_unspecified_address_covers_its_family() {
        let line = |at: &str, state: &str| {
            format!(
                "  1: {at} 00000000:0000 {state} 00000000:00000000 00:00000000 0 65534 0 77 2 0"
            )
        };
        let read = |at: &str| row(&line(at, "07"), Transport::Udp);
        let word = |ip: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(ip));
        let one = read(&format!("{}:13C4", word([10, 99, 0, 1]))).unwrap();
        assert_eq!(one, Held { at: "10.99.0.1:5060".parse().unwrap(), uid: 65_534, inode: 77 });
        assert!(one.covers("10.99.0.1:5060".parse().unwrap()));
        assert!(!one.covers("10.99.0.2:5060".parse().unwrap()));
        assert!(!one.covers("10.99.0.1:5061".parse().unwrap()));
        let all = read("00000000:13C4").unwrap();
        assert!(all.covers("10.99.0.2:5060".parse().unwrap()));
        assert!(!all.covers("[2001:db8::1]:5060".parse().unwrap()));
        let both = read(&format!("{}:13C4", "0".repeat(32))).unwrap();
        assert!(both.covers("10.99.0.2:5060".parse().unwrap()));
        assert!(both.covers("[2001:db8::1]:5060".parse().unwrap()));
        for wrong in ["", "sl local", &line("XX:13C4", "07"), &line("00:13C4", "07")] {
            assert_eq!(row(wrong, Transport::Udp), None, "{wrong}");
        }
        assert_eq!(row(&line("00000000:13C4", "01"), Transport::Tcp), None, "a connection");
        assert!(row(&line("00000000:13C4", "0A"), Transport::Tcp).is_some());
    }
}
