use std::fs;
use std::path::Path;

use clap::Parser;

use super::CommandLine;

/// The files that people copy into their own.
const READY: [&str; 2] = ["docs/campaigns/matrix.yml", "docs/campaigns/indexed-job.yaml"];

/// What stands for a value that only the machine knows.
const UNKNOWN: [(&str, &str); 6] = [
    ("${{ matrix.shard }}", "3"),
    ("${{ github.sha }}", "d254703"),
    ("\"$COMMIT\"", "d254703"),
    ("\"$((JOB_COMPLETION_INDEX + 1))/8\"", "3/8"),
    ("\"/campaign/$JOB_COMPLETION_INDEX.state\"", "/campaign/2.state"),
    ("\"/campaign/$JOB_COMPLETION_INDEX.json\"", "/campaign/2.json"),
];

/// The command lines of a file: from the name of the program on, over lines that go on.
fn command_lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.trim_start().starts_with('#'));
    let commands = lines.filter_map(|line| line.split_once("quiver-sim ").map(|(_, rest)| rest));
    commands.map(|rest| rest.trim_end().to_owned()).collect()
}

#[test]
fn command_lines_of_ready_files_are_understood() {
    for path in READY {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        let text = fs::read_to_string(&path).expect("the file is there");
        let lines = command_lines(&text);
        let has = |verb: &str| lines.iter().any(|line| line.starts_with(verb));
        assert!(has("run ") && has("merge "), "{}: {lines:?}", path.display());
        for line in lines {
            let line = UNKNOWN.iter().fold(line, |line, (from, to)| line.replace(from, to));
            assert!(!line.contains('$') && !line.contains('"'), "not known: {line}");
            let words = std::iter::once("quiver-sim").chain(line.split_whitespace());
            if let Err(why) = CommandLine::try_parse_from(words) {
                panic!("{}: {line}: {why}", path.display());
            }
        }
    }
}
