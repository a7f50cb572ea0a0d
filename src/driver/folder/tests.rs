use super::*;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};

/// A user that runs no test.
const OTHER: u32 = 64_999;

fn place(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("portreeve-folder-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).unwrap();
    dir
}

/// Only root can give files away; whoever else runs these tests finds root's instead.
fn is_root() -> bool {
    own() == 0
}

fn told<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    error.to_string()
}

#[test]
fn a_folder_is_made_with_its_path_and_holds_files_that_only_we_read() {
    let dir = place("made");
    let path = dir.join("a/b/../c");
    let folder = Folder::open(&path).unwrap();
    assert_eq!(fs::metadata(dir.join("a/c")).unwrap().mode() & 0o7777, 0o700);
    assert!(folder.read("x").unwrap().is_none());
    folder.appending("x").unwrap().write_all(b"1").unwrap();
    folder.appending("x").unwrap().write_all(b"2").unwrap();
    assert_eq!(folder.read("x").unwrap().unwrap(), b"12");
    assert_eq!(fs::metadata(dir.join("a/c/x")).unwrap().mode() & 0o7777, 0o600);
    folder.rename("x", "y").unwrap();
    assert_eq!(folder.names().unwrap(), [".", "..", "y"]);
    assert!(folder.new_file("y").is_err(), "it is there");
    folder.remove("y").unwrap();
    folder.remove("y").unwrap();
    folder.sync().unwrap();
    // It is the folder that was opened, wherever its name leads now.
    fs::rename(dir.join("a/c"), dir.join("a/d")).unwrap();
    fs::create_dir(dir.join("a/c")).unwrap();
    folder.new_file("z").unwrap();
    assert!(dir.join("a/d/z").exists() && !dir.join("a/c/z").exists());
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn another_users_folder_is_refused_with_what_to_do() {
    let dir = place("foreign");
    let other = if is_root() {
        chown(&dir, Some(OTHER), None).unwrap();
        dir.clone()
    } else {
        PathBuf::from("/usr")
    };
    let text = told(Folder::open(&other));
    let owner = if is_root() { OTHER } else { 0 };
    let own = own();
    assert!(text.starts_with(&format!("it belongs to uid {owner},")), "{text}");
    assert!(text.contains(&format!("run it as that user, or chown -R {own} ")), "{text}");
    if is_root() {
        // What stands in it is not asked for.
        assert!(Folder::open(&dir.join("inside")).is_ok(), "a folder of our own there is ours");
        assert!(told(check_place(&dir.join("control.sock"))).contains("belongs to uid"));
        let secret = dir.join("site-password");
        assert!(told(make_secret(&secret, String::new)).contains("belongs to uid"));
        assert!(!secret.exists(), "nothing of ours is left there");
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn in_a_folder_no_link_is_followed_and_nothing_but_files_is_opened() {
    let dir = place("links");
    let folder = Folder::open(&dir.join("state")).unwrap();
    let precious = dir.join("precious");
    fs::write(&precious, "precious").unwrap();
    symlink(&precious, dir.join("state/keys")).unwrap();
    symlink(dir.join("nowhere"), dir.join("state/lock")).unwrap();
    for name in ["keys", "lock"] {
        for result in [folder.appending(name), folder.writing(name)] {
            assert!(told(result).contains("is a link, which is not followed"));
        }
        assert!(told(folder.read(name)).contains("is a link"));
        assert!(folder.new_file(name).is_err());
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert!(!dir.join("nowhere").exists());
    // A pipe would have us wait for its other end.
    rustix::fs::mkfifoat(CWD, dir.join("state/audit"), Mode::RUSR).unwrap();
    assert!(told(folder.read("audit")).contains("no regular file"));
    fs::create_dir(dir.join("state/journal")).unwrap();
    assert!(told(folder.read("journal")).contains("no regular file"));
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn files_that_others_can_change_are_refused() {
    let dir = place("files");
    let folder = Folder::open(&dir).unwrap();
    folder.appending("x").unwrap();
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(dir.join("x"), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            told(folder.read("x")),
            format!("others may change it (mode {mode:o}): chmod go-w it")
        );
        assert!(told(folder.appending("x")).contains("chmod go-w"));
    }
    fs::set_permissions(dir.join("x"), fs::Permissions::from_mode(0o644)).unwrap();
    folder.read("x").unwrap().unwrap();
    if is_root() {
        chown(dir.join("x"), Some(OTHER), None).unwrap();
        let text = told(folder.read("x"));
        assert!(text.contains(&format!("belongs to uid {OTHER}")) && text.contains("chown 0"));
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_path_may_lead_through_links_of_ours_and_of_root_only() {
    let dir = place("path");
    fs::create_dir_all(dir.join("private/state")).unwrap();
    // As systemd keeps a dynamic user's folder.
    symlink("private/state", dir.join("state")).unwrap();
    symlink(dir.join("state"), dir.join("again")).unwrap();
    let folder = Folder::open(&dir.join("again")).unwrap();
    folder.new_file("x").unwrap();
    assert!(dir.join("private/state/x").exists());
    symlink("loop", dir.join("loop")).unwrap();
    assert!(told(Folder::open(&dir.join("loop/x"))).contains("is a link"));
    if is_root() {
        lchown(dir.join("state"), Some(OTHER), None).unwrap();
        for path in ["state", "again", "state/../state/x"] {
            let text = told(Folder::open(&dir.join(path)));
            assert!(
                text.contains(&format!("`state` in this path is a link of uid {OTHER}")),
                "{text}"
            );
        }
        assert!(told(secret(&dir.join("state/x"))).contains("is a link"));
        assert!(told(make_secret(&dir.join("state/new"), String::new)).contains("is a link"));
        assert!(!dir.join("private/state/new").exists());
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_secret_is_made_once_and_read_where_nobody_else_can() {
    let dir = place("secret");
    let path = dir.join("deep/password");
    make_secret(&path, || "one".to_owned()).unwrap();
    make_secret(&path, || "two".to_owned()).unwrap();
    assert_eq!(secret(&path).unwrap(), "one");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    for mode in [0o644, 0o640, 0o660, 0o604] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            told(secret(&path)),
            format!("others may read this secret (mode {mode:o}): chmod 600 it")
        );
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    // To root it is said whose it is.
    if geteuid().is_root() {
        assert_eq!(secret_of(&path).unwrap(), ("one".to_owned(), None));
        chown(&path, Some(65_534), None).unwrap();
        assert_eq!(secret_of(&path).unwrap(), ("one".to_owned(), Some(65_534)));
        chown(&path, Some(0), None).unwrap();
    }
    // As a volume of secrets is mounted: a link to a link to the file.
    symlink("deep", dir.join("data")).unwrap();
    symlink("data/password", dir.join("password")).unwrap();
    assert_eq!(secret(&dir.join("password")).unwrap(), "one");
    if is_root() {
        chown(&path, Some(OTHER), None).unwrap();
        assert!(told(secret(&path)).contains("chown 0 it"));
    }
    fs::write(dir.join("noise"), [0xff, 0xfe]).unwrap();
    fs::set_permissions(dir.join("noise"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(secret(&dir.join("noise")).unwrap_err().kind(), io::ErrorKind::InvalidData);
    fs::remove_dir_all(&dir).unwrap();
}
