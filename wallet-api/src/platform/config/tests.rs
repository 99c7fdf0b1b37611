use std::fs;
use std::net::SocketAddr;

use clap::ArgAction;

use super::*;

/// A command line of the kind that ours is: a setting that two commands have, a switch, a list, a secret, and what is none.
fn cli() -> Command {
    let listen =
        Arg::new("listen").long("listen").env("TESSERA_T_LISTEN").value_parser(clap::value_parser!(SocketAddr));
    let serve = Command::new("serve")
        .arg(listen.clone().default_value("127.0.0.1:1").help("Where"))
        .arg(Arg::new("db").long("database-url").env("TESSERA_T_DB").hide_env_values(true))
        .arg(Arg::new("plain").long("allow-plain").env("TESSERA_T_PLAIN").action(ArgAction::SetTrue))
        .arg(Arg::new("peer").long("peer").env("TESSERA_T_PEER").action(ArgAction::Append))
        .arg(Arg::new("size").long("size").env("TESSERA_T_SIZE").value_parser(clap::value_parser!(u8)))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue));
    let file = Arg::new(FILE_ARG).long("config").env("TESSERA_T_CONFIG").global(true);
    let file = file.value_parser(clap::value_parser!(PathBuf));
    Command::new("tessera").arg(file).subcommand(Command::new("demo").arg(listen)).subcommand(serve)
}

/// What `serve` gets from this file, these variables (seen by name only) and these arguments.
struct Read {
    configuration: Configuration,
    args: Vec<OsString>,
    folder: tempfile::TempDir,
}

impl Read {
    fn of(file: &str, environment: &[(&str, &str)], args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        fs::write(&path, file.replace("FOLDER", folder.path().to_str().unwrap())).unwrap();
        let named = ["tessera", "--config", path.to_str().unwrap(), "serve"];
        let args: Vec<OsString> = named.iter().chain(args).map(OsString::from).collect();
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let configuration = Configuration::read(&cli(), "serve", &args, &environment);
        Self { configuration, args, folder }
    }

    fn matches(&self) -> ArgMatches {
        let matches = self.configuration.offer_leniently(cli()).try_get_matches_from(&self.args).unwrap();
        matches.subcommand_matches("serve").unwrap().clone()
    }

    /// Each setting's value and origin.
    fn told(&self) -> BTreeMap<String, (String, String)> {
        let (cli, matches) = (cli(), self.matches());
        let values = self.configuration.values(&cli, cli.find_subcommand("serve").unwrap(), &matches);
        let told = |value: &Value<'_>| (value.shown().unwrap_or_default(), self.short(&value.origin.to_string()));
        values.iter().map(|value| (value.setting.key.clone(), told(value))).collect()
    }

    /// All that is wrong.
    fn faults(&self) -> Vec<String> {
        let (cli, matches) = (cli(), self.matches());
        let values = self.configuration.values(&cli, cli.find_subcommand("serve").unwrap(), &matches);
        let wrong = values.iter().filter_map(Value::fault);
        let all = self.configuration.faults().iter().cloned().chain(wrong);
        all.map(|fault| self.short(&fault.to_string())).collect()
    }

    fn short(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn pair(value: &str, origin: &str) -> (String, String) {
    (value.to_owned(), origin.to_owned())
}

#[test]
fn an_argument_with_a_variable_is_a_setting_and_the_main_commands_word_counts() {
    let settings = settings(&cli(), "serve");
    let keys: Vec<&str> = settings.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["allow_plain", "database_url", "listen", "peer", "size"]);
    let listen = settings.iter().find(|one| one.key == "listen").unwrap();
    assert_eq!((listen.default.as_str(), listen.help.as_str()), ("127.0.0.1:1", "Where"));
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let read = Read::of("size = 3\nallow_plain = true\npeer = [\"a\", \"b\"]\n", &[], &["--size", "4"]);
    let told = read.told();
    assert_eq!(told["size"], pair("4", "--size"));
    assert_eq!(told["allow_plain"], pair("true", "t.toml:2"));
    assert_eq!(told["peer"], pair("a, b", "t.toml:3"));
    assert_eq!(told["listen"], pair("127.0.0.1:1", "default"));
    assert_eq!(told["database_url"], pair("", "default"));
    assert_eq!(read.faults(), [""; 0]);
    let off = Read::of("allow_plain = true", &[], &["--allow-plain=false"]);
    assert_eq!(off.told()["allow_plain"], pair("false", "--allow-plain"));
    let typed = off.configuration.offer(cli()).try_get_matches_from(&off.args).unwrap();
    assert!(!typed.subcommand_matches("serve").unwrap().get_flag("plain"));
}

/// All at once, each with where it stands.
#[test]
fn everything_wrong_is_told_and_where() {
    let file = "lisen = \"127.0.0.1:2\"\nsize = 300\nlisten = [\"127.0.0.1:2\"]\nallow-plain = true\n";
    let environment = [("TESSERA_T_SIZ", "1"), ("TESSERA_SERVICE_HOST", "10.0.0.1"), ("TESSERA_PORT_80_TCP", "x")];
    let read = Read::of(file, &environment, &["--allow-plain=perhaps"]);
    assert_eq!(
        read.faults(),
        [
            "t.toml:1: nothing reads the key lisen; did you mean listen?",
            "t.toml:3: listen takes one value, not a list",
            "t.toml:4: nothing reads the key allow-plain; did you mean allow_plain?",
            "TESSERA_T_SIZ: nothing reads the variable TESSERA_T_SIZ; did you mean TESSERA_T_SIZE?",
            "--allow-plain: invalid value \"perhaps\": value was not a boolean",
            "t.toml:2: size: invalid value \"300\": 300 is not in 0..=255",
        ]
    );
}

#[test]
fn a_secret_may_lie_in_a_file_of_its_own_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "postgres://app:hunter2@db/tessera\n").unwrap();
    let secret = secret.to_str().unwrap();
    let shown = "postgres://app:***@db/tessera";
    let in_file = Read::of(&format!("database_url_file = {secret:?}"), &[], &[]);
    assert_eq!(in_file.told()["database_url"], pair(shown, &format!("{secret} (named by t.toml:1)")));
    let over_file = Read::of("database_url = \"x\"", &[("TESSERA_T_DB_FILE", secret)], &[]);
    assert_eq!(over_file.told()["database_url"], pair(shown, &format!("{secret} (named by TESSERA_T_DB_FILE)")));
    assert_eq!(over_file.faults(), [""; 0]);
    let both = Read::of("", &[("TESSERA_T_DB_FILE", secret), ("TESSERA_T_DB", "y")], &[]);
    assert_eq!(both.faults(), ["TESSERA_T_DB_FILE: TESSERA_T_DB is set too: set one of them"]);
    let twice = Read::of(&format!("database_url = \"x\"\ndatabase_url_file = {secret:?}"), &[], &[]);
    let wrong = format!("{secret} (named by t.toml:2): database_url is set at t.toml:1 too: set one of them");
    assert_eq!(twice.faults(), [wrong]);
    let missing = Read::of("database_url_file = \"/nowhere/it\"", &[], &[]);
    assert!(
        missing.faults()[0].starts_with("/nowhere/it (named by t.toml:1): cannot be read"),
        "{:?}",
        missing.faults()
    );
}

#[test]
fn a_file_that_is_named_must_be_there_and_the_usual_one_need_not() {
    let args = |path: &str| ["tessera", "serve", "--config", path].map(OsString::from);
    let named = Configuration::read(&cli(), "serve", &args("/nowhere/t.toml"), &[]);
    assert!(named.faults()[0].to_string().starts_with("/nowhere/t.toml: cannot be read"), "{:?}", named.faults());
    let usual = Configuration::read(&cli(), "serve", &["tessera".into(), "serve".into()], &[]);
    assert_eq!((usual.faults(), usual.file()), (&[][..], None));
}
