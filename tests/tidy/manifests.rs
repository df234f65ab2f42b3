//! Each dependency has a line of comment directly above it that says what it is for.

/// Names each dependency without a reason.
pub(crate) fn check(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_dependencies = false;
    let mut depth = 0_usize;
    let mut previous = "";
    for (index, line) in text.lines().map(str::trim).enumerate() {
        let mut named = None;
        if depth == 0 && line.starts_with('[') {
            let table = line.trim_matches(['[', ']']);
            let (parent, last) = table.rsplit_once('.').unwrap_or(("", table));
            in_dependencies = is_dependencies(last);
            // `[dependencies.name]` is one dependency, whose settings follow.
            named = is_dependencies(parent.rsplit('.').next().unwrap_or("")).then_some(last);
        } else {
            if depth == 0 && in_dependencies {
                named = line.split_once('=').map(|(name, _)| name.trim());
            }
            depth += line.matches(['[', '{']).count();
            depth = depth.saturating_sub(line.matches([']', '}']).count());
        }
        if let Some(name) = named.filter(|_| !line.starts_with('#') && !previous.starts_with('#')) {
            let place = format!("{path}:{}", index + 1);
            found.push(format!("{place}: {name} has no reason in a comment directly above it"));
        }
        previous = line;
    }
    found
}

fn is_dependencies(table: &str) -> bool {
    ["dependencies", "dev-dependencies", "build-dependencies"].contains(&table)
}

#[test]
fn a_dependency_without_a_reason_is_named() {
    let text = "[package]\nname = \"x\"\n[dependencies]\n# It counts.\na = \"1\"\nb = { features = [\n\
                \"c\",\n] }\n\n# Apart.\n\nd = \"1\"\n[dev-dependencies.e]\nversion = \"1\"\n\
                [target.'cfg(unix)'.dependencies]\nf = \"1\"\n# Why.\n[build-dependencies.g]\n\
                version = \"1\"\n[features]\nh = []\n";
    let lines: Vec<String> = check("Cargo.toml", text)
        .iter()
        .map(|found| found.split(" has").next().unwrap_or(found).to_owned())
        .collect();
    let expected = ["Cargo.toml:6: b", "Cargo.toml:12: d", "Cargo.toml:13: e", "Cargo.toml:16: f"];
    assert_eq!(lines, expected);
}
