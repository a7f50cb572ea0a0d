//! The running gateway reaches the folders that it was started with, and no others.

use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_portreeve");

fn free_port(address: &str) -> u16 {
    UdpSocket::bind(format!("{address}:0")).unwrap().local_addr().unwrap().port()
}

struct Stage {
    folder: PathBuf,
    ports: [u16; 2],
}

impl Stage {
    fn set() -> Self {
        let folder = std::env::temp_dir().join(format!("portreeve-reach-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let stage = Self { folder, ports: [free_port("127.0.0.1"), free_port("127.0.0.2")] };
        for name in ["own", "other"] {
            std::fs::create_dir_all(stage.folder.join(name)).unwrap();
            stage.write_users(name);
        }
        stage
    }

    /// A secret, as any other that the gateway's user may read.
    fn write_users(&self, folder: &str) {
        let file = self.folder.join(folder).join("users");
        std::fs::write(&file, format!("101:portreeve:{}\n", "a".repeat(32))).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The configuration, put in the old one's place as editors do it.
    fn write(&self, users: &str, calls: usize) -> PathBuf {
        let (folder, [inside, outside]) = (self.folder.display(), self.ports);
        let text = format!(
            r#"
            [[interface]]
            name = "lan"
            side = "inside"
            address = "127.0.0.1"
            networks = ["127.0.0.0/8"]
            listen = ["udp:{inside}"]
            [[interface]]
            name = "wan"
            side = "outside"
            address = "127.0.0.2"
            listen = ["udp:{outside}"]
            [[upstream]]
            name = "pbx"
            address = "127.0.0.3:5060"
            domain = "pbx.test"
            [registrar]
            mode = "local"
            users = "{folder}/{users}/users"
            [media]
            ports = "29080-29119"
            workers = 1
            [limits]
            calls = {calls}
            [state]
            dir = "{folder}/data/state"
            [audit]
            dir = "{folder}/data/audit"
            [http]
            listen = "off"
            "#
        );
        let (new, file) = (self.folder.join("own/new"), self.folder.join("own/portreeve.toml"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &file).unwrap();
        file
    }

    /// Starts it; what it says on stderr comes when it has ended.
    fn start(file: &Path) -> Child {
        let mut gateway = Command::new(BINARY)
            .arg("run")
            .arg("--config")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(gateway.stdout.take().unwrap()).lines();
        assert!(lines.any(|l| l.unwrap() == "ready"));
        gateway
    }

    /// Exit code and words of a reload.
    fn reload(&self) -> (Option<i32>, String) {
        let socket = self.folder.join("data/state/control.sock");
        let told = Command::new(BINARY).args(["reload", "--socket"]).arg(socket).output().unwrap();
        (told.status.code(), String::from_utf8(told.stderr).unwrap())
    }

    fn stop(gateway: Child) -> String {
        let pid = gateway.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let ended = gateway.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0));
        String::from_utf8(ended.stderr).unwrap()
    }
}

#[test]
fn a_running_gateway_reads_no_file_of_a_folder_that_it_was_not_started_with() {
    let stage = Stage::set();
    let gateway = Stage::start(&stage.write("own", 8));
    stage.write("own", 7);
    assert_eq!(stage.reload(), (Some(0), String::new()), "a new file in the old one's place");
    stage.write_users("own");
    assert_eq!(stage.reload().0, Some(0));
    stage.write("other", 7);
    let (code, told) = stage.reload();
    let said = Stage::stop(gateway);
    if said.contains("no Landlock") {
        assert_eq!(code, Some(0), "{told}");
    } else {
        assert_eq!(code, Some(78), "{told}");
        assert!(told.contains("other/users: Permission denied"), "{told}");
        assert!(told.contains("reaches only the folders that it was started with"), "{told}");
    }
    assert!(!stage.folder.join("data/state/control.sock").exists(), "what it made it removes");
    // Started with it, it reads it.
    let gateway = Stage::start(&stage.folder.join("own/portreeve.toml"));
    stage.write("other", 6);
    assert_eq!(stage.reload(), (Some(0), String::new()));
    Stage::stop(gateway);
    std::fs::remove_dir_all(&stage.folder).unwrap();
}
