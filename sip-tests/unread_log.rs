//! A gateway whose stderr is a full pipe that nobody reads: it works all the same, and stops.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_portreeve");
/// What a pipe holds (pipe(7)).
const PIPE: usize = 65_536;

fn free_port(address: &str) -> u16 {
    UdpSocket::bind(format!("{address}:0")).unwrap().local_addr().unwrap().port()
}

fn configuration(folder: &Path) -> String {
    format!(
        r#"
        [[interface]]
        name = "lan"
        side = "inside"
        address = "127.0.0.1"
        networks = ["127.0.0.0/8"]
        listen = ["udp:{}"]
        [[interface]]
        name = "wan"
        side = "outside"
        address = "127.0.0.2"
        listen = ["udp:{}"]
        [[upstream]]
        name = "pbx"
        address = "127.0.0.3:5060"
        domain = "pbx.test"
        [media]
        ports = "29040-29079"
        workers = 1
        [limits]
        calls = 8
        [state]
        dir = "{}/state"
        [http]
        listen = "off"
        [control]
        socket = "{}/control.sock"
        "#,
        free_port("127.0.0.1"),
        free_port("127.0.0.2"),
        folder.display(),
        folder.display(),
    )
}

#[test]
fn a_gateway_whose_words_nobody_reads_works_and_stops() {
    let folder = std::env::temp_dir().join(format!("portreeve-unread-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("portreeve.toml");
    std::fs::write(&file, configuration(&folder)).unwrap();
    let (mut reader, mut stderr) = std::io::pipe().unwrap();
    stderr.write_all(&[b'.'; PIPE]).unwrap();
    let mut gateway = Command::new(BINARY)
        .arg("run")
        .arg("--config")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(gateway.stdout.take().unwrap()).lines();
    assert!(lines.any(|l| l.unwrap() == "ready"));
    // Each is told in a line of the log, before whoever asked is answered.
    for round in 0..3 {
        let told = Command::new(BINARY)
            .args(["reload", "--socket"])
            .arg(folder.join("control.sock"))
            .output()
            .unwrap();
        assert!(told.status.success(), "reload {round}: {told:?}");
    }
    let asked = Command::new(BINARY)
        .args(["drain", "--socket"])
        .arg(folder.join("control.sock"))
        .output()
        .unwrap();
    assert!(asked.status.success(), "{asked:?}");
    let ended = gateway.wait().unwrap();
    assert!(ended.success(), "{ended:?}");
    // Nothing was read until it had ended: the words were left behind.
    let mut words = Vec::new();
    reader.read_to_end(&mut words).unwrap();
    assert_eq!(words.len(), PIPE);
    std::fs::remove_dir_all(&folder).unwrap();
}
