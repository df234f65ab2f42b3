//! Bugs that no wrapper of the seam can plant: patches of the engine's sources, applied to a copy of them.
//!
//! - H1. All patches go into one copy, which is built once. Each does its harm only where
//!   `planted::is` says its name; that switch is written into the copy, and the engine that ships has
//!   none.
//! - H2. With no name the copy is the engine: it has to pass as the engine does.
//! - H3. Each bug is looked for by a process of its own, in which its name stands in the environment.
//! - H4. A patch that no longer applies ends all of it: a bug that is not planted is not looked for.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Refusal;

/// The patches, seen from the repository.
const FOLDER: &str = "sim/mutants/crashes";

/// The variable that says which bug is switched on.
const SWITCH: &str = "QUIVER_PLANTED";

/// What the copy has besides.
const SWITCH_SOURCE: &str = r#"//! Which bug of this copy is switched on.

use std::sync::OnceLock;

static NAME: OnceLock<String> = OnceLock::new();

pub(crate) fn is(name: &str) -> bool {
    NAME.get_or_init(|| std::env::var("QUIVER_PLANTED").unwrap_or_default()) == name
}
"#;

/// A source patch, by what stands above its difference.
#[derive(Debug)]
pub(super) struct Patch {
    pub(super) name: String,
    /// What the engine does with it.
    pub(super) plants: String,
    /// What it comes from.
    pub(super) lesson: String,
    /// Where it is looked for: a `Ground` by its name.
    pub(super) plays: String,
    text: String,
}

fn failed(what: &str) -> impl Fn(io::Error) -> Refusal {
    move |error| Refusal(format!("cannot {what}: {error}"), 2)
}

/// The repository that this program was built from.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// All patches, by name.
pub(super) fn all() -> Result<Vec<Patch>, Refusal> {
    let folder = root().join(FOLDER);
    let mut patches = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed("read the patches"))? {
        let path = entry.map_err(failed("read the patches"))?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let text = fs::read_to_string(&path).map_err(failed("read a patch"))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            patches.push(Patch::of(name, text)?);
        }
    }
    patches.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(patches)
}

impl Patch {
    fn of(name: String, text: String) -> Result<Self, Refusal> {
        let said = |word: &str| {
            let mut head = text.lines().take_while(|line| !line.starts_with("--- "));
            let found = head.find_map(|line| line.strip_prefix(word)?.strip_prefix(':'));
            found.map(|words| words.trim().to_owned()).ok_or_else(|| {
                Refusal(format!("{FOLDER}/{name}.patch does not say `{word}:` in its head"), 2)
            })
        };
        let (plants, lesson, plays) = (said("plants")?, said("lesson")?, said("plays")?);
        if !text.contains(&format!("planted::is(\"{name}\")")) {
            return Err(Refusal(format!("{FOLDER}/{name}.patch does not ask for its name"), 2));
        }
        Ok(Self { name, plants, lesson, plays, text })
    }
}

/// The program of a copy in which every patch is applied.
pub(super) struct Copy {
    program: PathBuf,
}

impl Copy {
    /// Makes and builds it. What did not change is not built again.
    pub(super) fn build(patches: &[Patch]) -> Result<Self, Refusal> {
        let own = std::env::current_exe().map_err(failed("find this program"))?;
        let target = own.ancestors().nth(2).unwrap_or(Path::new("target")).to_owned();
        let (fresh, copy) = (target.join("patched/fresh"), target.join("patched/copy"));
        if fresh.exists() {
            fs::remove_dir_all(&fresh).map_err(failed("remove the last copy"))?;
        }
        write_copy(&fresh).map_err(failed("copy the sources"))?;
        patches.iter().try_for_each(|patch| patch.apply(&fresh))?;
        carry_over(&fresh, &copy).map_err(failed("copy the sources"))?;
        let built = Command::new("cargo")
            .args(["build", "--quiet", "--release", "--offline", "--package", "planted-sim"])
            .current_dir(&copy)
            .env("CARGO_TARGET_DIR", &target)
            // As `.cargo/config.toml` says for the repository: nothing below is built anew.
            .env("RUSTFLAGS", "--cfg madsim")
            .status()
            .map_err(failed("run cargo"))?;
        if !built.success() {
            let place = copy.display();
            let what = format!("the copy with the patches of {FOLDER} does not build: {place}");
            return Err(Refusal(what, 1));
        }
        Ok(Self { program: target.join("release/planted-sim") })
    }

    /// Looks for a bug, or for any where none is switched on; what the program said.
    pub(super) fn play(&self, name: &str, arguments: &[String]) -> Result<Value, Refusal> {
        let played = Command::new(&self.program)
            .args(arguments)
            .env(SWITCH, name)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(failed("run the copy"))?;
        let said = String::from_utf8_lossy(&played.stdout);
        serde_json::from_str(&said).map_err(|_| {
            let status = played.status;
            Refusal(format!("the copy with {name:?} ended with {status} and said {said:?}"), 1)
        })
    }
}

impl Patch {
    fn apply(&self, copy: &Path) -> Result<(), Refusal> {
        let mut git = Command::new("git")
            .args(["apply", "-C1", "-"])
            .current_dir(copy)
            // Git must not take the copy for a part of this repository: it would skip the patch.
            .env("GIT_CEILING_DIRECTORIES", copy.parent().unwrap_or(copy))
            .stdin(Stdio::piped())
            .spawn()
            .map_err(failed("run git"))?;
        if let Some(mut input) = git.stdin.take() {
            input.write_all(self.text.as_bytes()).map_err(failed("hand a patch to git"))?;
        }
        if git.wait().map_err(failed("run git"))?.success() {
            return Ok(());
        }
        let name = &self.name;
        let what = format!(
            "{FOLDER}/{name}.patch no longer applies: plant that bug in the sources as they are now \
             (docs/crash-model.md, \"Bugs in a copy of the sources\")"
        );
        Err(Refusal(what, 1))
    }
}

/// The workspace of engine and simulator, without what neither library needs.
fn write_copy(to: &Path) -> io::Result<()> {
    let root = root();
    copy_folder(&root.join("src"), &to.join("src"))?;
    copy_folder(&root.join("sim/src"), &to.join("sim/src"))?;
    fs::copy(root.join("Cargo.lock"), to.join("Cargo.lock"))?;
    // Under names of their own: Cargo tells packages apart by name and by place in their workspace, and
    // would take these for those of the repository, which are built into the same directory.
    let engine = bare(&fs::read_to_string(root.join("Cargo.toml"))?);
    let is_kept = |line: &&str| !line.starts_with("readme = ") && !line.starts_with("exclude = ");
    let engine = engine.lines().filter(is_kept).map(|line| match line.starts_with("members = ") {
        true => "members = [\".\", \"sim\"]\n".to_owned(),
        false => format!("{line}\n"),
    });
    let engine = engine.collect::<String>().replacen("\"quiver-store\"", "\"planted-store\"", 1);
    fs::write(to.join("Cargo.toml"), format!("{engine}\n[lib]\nname = \"quiver_store\"\n"))?;
    let simulator = bare(&fs::read_to_string(root.join("sim/Cargo.toml"))?)
        .replacen("\"quiver-sim\"", "\"planted-sim\"", 1)
        .replacen("quiver-store = { ", "quiver-store = { package = \"planted-store\", ", 1);
    fs::write(to.join("sim/Cargo.toml"), format!("{simulator}\n[lib]\nname = \"quiver_sim\"\n"))?;
    fs::write(to.join("src/planted.rs"), SWITCH_SOURCE)?;
    let engine = to.join("src/lib.rs");
    let text = fs::read_to_string(&engine)?;
    fs::write(engine, format!("{text}\nmod planted;\n"))
}

/// A manifest without its programs, tests, benches and examples.
fn bare(manifest: &str) -> String {
    let is_kept = |part: &&str| !part.trim_start().starts_with("[[");
    manifest.split("\n\n").filter(is_kept).collect::<Vec<_>>().join("\n\n")
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()?.is_dir() {
            true => copy_folder(&from, &to)?,
            false => fs::copy(&from, &to).map(drop)?,
        }
    }
    Ok(())
}

/// Makes one folder like another, and leaves files alone that are alike: they are as old as they were, so
/// Cargo does not build them again.
fn carry_over(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !from.join(entry.file_name()).exists() && entry.file_name() != "Cargo.lock" {
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            carry_over(&from, &to)?;
        } else {
            let text = fs::read(&from)?;
            if fs::read(&to).is_ok_and(|known| known == text) {
                continue;
            }
            fs::write(&to, text)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_patch_says_what_it_plants_and_asks_for_its_name() {
        let patches = all().unwrap_or_else(|Refusal(what, _)| panic!("{what}"));
        assert!(patches.len() >= 14, "{}", patches.len());
        let grounds: BTreeSet<&str> = patches.iter().map(|patch| &*patch.plays).collect();
        for ground in &grounds {
            assert!(super::super::mutants::is_ground(ground), "nobody plays {ground}");
        }
    }

    /// Whoever changes the sources is told of it by the tests, not by the next `mutants --patches`.
    #[test]
    fn every_patch_applies_to_the_sources_beside_the_others() {
        let copy = tempfile::tempdir().expect("a temporary directory");
        write_copy(copy.path()).expect("the sources are there");
        for patch in all().unwrap_or_else(|Refusal(what, _)| panic!("{what}")) {
            patch.apply(copy.path()).unwrap_or_else(|Refusal(what, _)| panic!("{what}"));
        }
    }

    #[test]
    fn head_without_a_word_and_patch_without_its_name_are_refused() {
        let refused = |text: &str| Patch::of("a".to_owned(), text.to_owned()).is_err();
        let head = "plants: x\nlesson: L1\nplays: plain\n--- a/x\n";
        assert!(!refused(&format!("{head}+planted::is(\"a\")")));
        assert!(refused(&format!("{head}+planted::is(\"b\")")));
        assert!(refused("plants: x\nlesson: L1\n--- a/x\n+plays: plain\n+planted::is(\"a\")"));
    }

    #[test]
    fn manifest_of_the_copy_has_no_programs_of_its_own() {
        let manifest = "[package]\nname = \"a\"\n\n[[bin]]\nname = \"b\"\n\n[profile.dev]\nx = 1\n";
        assert_eq!(bare(manifest), "[package]\nname = \"a\"\n\n[profile.dev]\nx = 1\n");
    }
}
