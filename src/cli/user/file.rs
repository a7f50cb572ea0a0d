//! The text of a users file, `user:realm:HA1-MD5:HA1-SHA-256` a line, and how it is written. Lines
//! that are not asked for stay as they are, comments too.

use crate::driver::folder::{Folder, secret};
use crate::engine::digest::Ha1;
use std::io::{self, Write as _};
use std::path::Path;

/// Longest name of a user, in octets.
const LONGEST: usize = 64;

/// What is to become of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Replace,
    Remove,
}

/// A name that can stand in the file and in a URI as it is.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.+*".contains(&b);
    if name.is_empty() || name.len() > LONGEST || !name.bytes().all(plain) {
        return Err(format!(
            "a user has 1 to {LONGEST} letters, digits and - _ . + *, as 101 or reception"
        ));
    }
    Ok(())
}

/// The file's text; empty where there is none yet.
pub(super) fn read(path: &Path) -> Result<String, String> {
    match secret(path) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(format!("{}: {e}", path.display())),
    }
}

/// User and realm of a line; `None`: it is a comment or empty.
fn fields(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let mut all = line.split(':');
    Some((all.next()?, all.next().unwrap_or_default()))
}

/// Its users, as they stand there.
pub(super) fn names(text: &str, realm: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for (user, of) in text.lines().filter_map(fields) {
        if of != realm {
            return Err(format!(
                "{user} is of the realm \"{of}\", and registrar.realm is \"{realm}\": write that \
                 realm there, or take the line out (`portreeve user rm`) and add the user anew"
            ));
        }
        all.push(user.to_owned());
    }
    Ok(all)
}

/// Whether a change can be made.
pub(super) fn fits(text: &str, realm: &str, name: &str, change: Change) -> Result<(), String> {
    let is_there = text.lines().filter_map(fields).any(|(user, _)| user == name);
    match (change, is_there) {
        (Change::Add, true) => {
            Err(format!("{name} is there already: `portreeve user passwd {name}`"))
        }
        (Change::Replace | Change::Remove, false) => {
            Err(format!("there is no user {name}: `portreeve user ls` lists them"))
        }
        // The gateway refuses a file with a foreign line whole.
        (Change::Add, false) => names(text, realm).map(drop),
        (Change::Replace | Change::Remove, true) => Ok(()),
    }
}

/// The text with this user in it by this password, or without him.
pub(super) fn changed(text: &str, realm: &str, name: &str, password: Option<&str>) -> String {
    let own = password.map(|password| {
        let Ha1 { md5, sha256 } = Ha1::of(name, realm, password);
        format!("{name}:{realm}:{}:{}", md5.unwrap_or_default(), sha256.unwrap_or_default())
    });
    let mut left = own.as_deref();
    let mut all: Vec<&str> = Vec::new();
    for line in text.lines() {
        if fields(line).is_some_and(|(user, _)| user == name) {
            all.extend(left.take());
        } else {
            all.push(line);
        }
    }
    all.extend(left);
    all.iter().flat_map(|line| [*line, "\n"]).collect()
}

/// Changes the file, whole or not at all, mode 0600: one change at a time, of what stands there
/// then.
pub(super) fn change(
    path: &Path,
    realm: &str,
    (name, change): (&str, Change),
    password: Option<&str>,
) -> Result<(), String> {
    let told = |e: io::Error| format!("{}: {e}: nothing is changed", path.display());
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = Folder::open(parent).map_err(told)?;
    let _turn = folder.turn().map_err(told)?;
    let text = read(path)?;
    fits(&text, realm, name, change)?;
    write(&folder, path, &changed(&text, realm, name, password))
}

fn write(folder: &Folder, path: &Path, text: &str) -> Result<(), String> {
    let told = |e: io::Error| format!("{}: {e}: nothing is changed", path.display());
    let name = path.file_name().and_then(|n| n.to_str());
    let name = name.ok_or_else(|| told(io::ErrorKind::InvalidInput.into()))?;
    let fresh = format!(".{name}.new");
    // One that was cut short.
    folder.remove(&fresh).map_err(told)?;
    let mut file = folder.new_file(&fresh).map_err(told)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.and_then(|()| folder.rename(&fresh, name)).and_then(|()| folder.sync()).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::state::users;
    use crate::engine::digest::Users;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_written_is_what_the_gateway_reads_and_nobody_else() {
        let dir = std::env::temp_dir().join(format!("portreeve-user-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let path = dir.join("users");
        for name in ["101", "102"] {
            change(&path, "portreeve", (name, Change::Add), Some("tabbouleh")).unwrap();
        }
        let second = read(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing else is left there");
        let Users::Table(table) = users(&path, "portreeve").unwrap() else { panic!("no table") };
        assert_eq!(table.len(), 2);
        // Of RFC 7616's kind: printf '101:portreeve:tabbouleh' | md5sum, sha256sum.
        let ha1 = &table["101"];
        assert_eq!(ha1.md5.as_deref(), Some(MD5));
        assert_eq!(ha1.sha256.as_deref(), Some(SHA256));
        assert!(!second.contains("tabbouleh"));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn changes_at_the_same_time_lose_nobody() {
        let dir = std::env::temp_dir().join(format!("portreeve-users-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let path = dir.join("users");
        change(&path, "portreeve", ("gone", Change::Add), Some("tabbouleh")).unwrap();
        std::thread::scope(|all| {
            for n in 0..16 {
                let path = &path;
                all.spawn(move || {
                    let name = format!("{}", 100 + n);
                    change(path, "portreeve", (&name, Change::Add), Some("tabbouleh")).unwrap();
                });
            }
            let path = &path;
            all.spawn(move || change(path, "portreeve", ("gone", Change::Remove), None).unwrap());
        });
        let mut all = names(&read(&path).unwrap(), "portreeve").unwrap();
        all.sort_unstable();
        assert_eq!(all, (100..116).map(|n| n.to_string()).collect::<Vec<_>>());
        let again = change(&path, "portreeve", ("gone", Change::Remove), None);
        assert!(again.unwrap_err().contains("there is no user gone"));
        fs::remove_dir_all(&dir).unwrap();
    }

    const MD5: &str = "bb550eec5ebec6f991f73a4a3b6882e2";
    const SHA256: &str = "52a1e47ac2c9ca082661d43e85bfe3043e988664d0c168bb81edd159df566387";

    #[test]
    fn only_the_line_of_that_user_changes() {
        let text = "# phones\n101:portreeve:aa\n\n102:portreeve:bb\n";
        let without = changed(text, "portreeve", "101", None);
        assert_eq!(without, "# phones\n\n102:portreeve:bb\n");
        let other = changed(text, "portreeve", "101", Some("password"));
        assert!(other.starts_with("# phones\n101:portreeve:"), "{other}");
        assert!(other.ends_with("\n\n102:portreeve:bb\n") && !other.contains(":aa"), "{other}");
        assert_eq!(names(text, "portreeve").unwrap(), ["101", "102"]);
        assert!(names(text, "other").unwrap_err().contains("is of the realm \"portreeve\""));
    }

    #[test]
    fn what_cannot_be_is_told_before_a_password_is_typed() {
        let text = "101:portreeve:aa\n";
        let fits = |name: &str, change| fits(text, "portreeve", name, change);
        assert!(fits("101", Change::Add).unwrap_err().contains("is there already"));
        assert!(fits("10", Change::Remove).unwrap_err().contains("there is no user 10"));
        assert!(fits("10", Change::Replace).is_err() && fits("10", Change::Add).is_ok());
        for name in ["", "a:b", "a b", "a\nb", "#x", &"1".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("101").is_ok() && check_name("reception-2").is_ok());
    }
}
