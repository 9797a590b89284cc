"""Settings: what each source may say, which one wins, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nodepp.config import Config, load, load_settings
from nodepp.errors import ConfigError
from nodepp.settings import IGNORED_KEYS, KEYS
from nodepp.sources import without_comment
from nodepp.values import MEMORY_MODELS, format_value, parse_value

BY_NAME = {key.name: key for key in KEYS}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def conf(folder: Path, text: str) -> None:
    (folder / "npp.conf").write_text(text)


def read(
    *command_line: tuple[str, str], environment: dict[str, str] | None = None, **rest: str
) -> Config:
    options = [(name, text, f"--{name}") for name, text in command_line]
    return load(options, environment or {}, **rest)


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("maxPayload", "0", 0),
        ("maxPayload", "65536", 65536),
        ("maxPayload", "64k", 65536),
        ("maxPayload", "16M", 16 * 1024**2),
        ("maxPayload", "16 MiB", 16 * 1024**2),
        ("maxPayload", "1.5g", 1536 * 1024**2),
        ("headerTimeout", "10", 10_000),
        ("headerTimeout", "500ms", 500),
        ("headerTimeout", "1.5s", 1500),
        ("headerTimeout", "2m", 120_000),
        ("headerTimeout", "1h", 3_600_000),
        ("headerTimeout", "1d", 86_400_000),
        ("accessLog", "yes", True),
        ("accessLog", "0", False),
        ("logLevel", "4", 4),
        ("logLevel", "warning", 2),
        ("udsPermissions", "600", 0o600),
        ("memoryModel", "npp_mem_large", "LARGE"),
        ("memoryModel", "TINY", "TINY"),
        ("serverHeader", "0", ""),
        ("serverHeader", "1", "nodepp"),
        ("serverHeader", "Node++", "Node++"),
        ("bind", "a:1, b:2", ("a:1", "b:2")),
        ("fdMonitor", "EPOLL", "epoll"),
    ],
)
def test_value_is_read_in_its_units(name: str, text: str, value: object) -> None:
    assert parse_value(BY_NAME[name], text) == value


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("httpPort", "eighty", "a whole number"),
        ("httpPort", "-1", "a whole number"),
        ("httpPort", "8_080", "a whole number"),
        ("httpPort", "65536", "0 to 65535"),
        ("httpPort", "", "a whole number"),
        ("httpPort", "٨٠", "a whole number"),
        ("maxPayload", "16x", "a size like"),
        ("maxPayload", "1.g", "a size like"),
        ("maxPayload", ".5g", "a size like"),
        ("maxPayload", "-5", "a size like"),
        ("maxPayload", "1e3", "a size like"),
        ("maxHeaderSize", "61k", "1k to 60k"),
        ("maxHeaderSize", "100", "1k to 60k"),
        ("maxConnections", "0", "1 to 1000000"),
        ("headerTimeout", "10y", "a time like"),
        ("headerTimeout", "0", "1ms to 86400s"),
        ("headerTimeout", "2d", "1ms to 86400s"),
        ("accessLog", "maybe", "1 or 0"),
        ("logLevel", "5", "0 to 4"),
        ("logLevel", "loud", "a level from 0 to 4"),
        ("udsPermissions", "888", "in octal"),
        ("memoryModel", "HUGE", "TINY SMALL"),
        ("serverHeader", "a\nb", "ASCII"),
        ("fdMonitor", "kqueue", "auto, epoll, poll, select or selectors"),
    ],
)
def test_bad_value_is_refused_with_what_would_be_right(name: str, text: str, expected: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parse_value(BY_NAME[name], text)
    assert expected in str(caught.value)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_default_survives_being_written_and_read(key) -> None:
    assert parse_value(key, format_value(key, key.default)) == key.default


def test_config_has_an_attribute_for_each_key() -> None:
    annotations = set(Config.__annotations__)
    assert {key.attribute for key in KEYS} <= annotations
    assert annotations == set(Config.__slots__)


def test_names_options_and_variables_are_unique() -> None:
    for column in ("options", "environment"):
        words = [word for key in KEYS for word in getattr(key, column)]
        assert len(words) == len(set(words))
    names = [name for key in KEYS for name in (key.name, *key.aliases)]
    assert len(names) == len(set(names))
    assert not IGNORED_KEYS & set(names)


# --- npp.conf -------------------------------------------------------------------------------------


def test_conf_is_read_with_comments_and_blanks(folder: Path) -> None:
    conf(folder, "# a comment\n\n  httpPort = 8081  # another\nlogLevel=4\t# tab\r\n")
    config = read()
    assert (config.http_port, config.log_level) == (8081, 4)
    assert config.origins["http_port"] == "npp.conf:3"
    assert config.origins["host"] == "default"
    assert config.conf_path == str(folder / "npp.conf")


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("# all", ""),
        ("a=b#c", "a=b#c"),
        ("a=b #c", "a=b"),
        ("a=b#c # d", "a=b#c"),
        ("a=b\t#c", "a=b"),
        ("   ", ""),
        ("a=#c", "a=#c"),
    ],
)
def test_hash_begins_a_comment_only_after_white_space(line: str, rest: str) -> None:
    assert without_comment(line) == rest


def test_unknown_key_is_an_error_with_file_line_and_hint(folder: Path) -> None:
    conf(folder, "logLevel=3\nhttpprot=80\n")
    with pytest.raises(ConfigError) as caught:
        read()
    assert str(caught.value).splitlines()[0] == (
        "npp.conf:2: unknown key 'httpprot'. Did you mean 'httpPort'?")


def test_many_unknown_keys_take_three_lines(folder: Path) -> None:
    conf(folder, "".join(f"nonsense{n}=1\n" for n in range(9)))
    with pytest.raises(ConfigError) as caught:
        read()
    assert str(caught.value).splitlines()[2] == "… and 7 more."


def test_unknown_key_is_a_warning_if_that_is_allowed(folder: Path) -> None:
    conf(folder, "colour=blue\nallowUnknownKeys=1\n")
    assert read().warnings == ("npp.conf:1: unknown key 'colour'.",)


def test_every_key_of_node_plus_plus_loads_with_one_warning(folder: Path) -> None:
    values = {"logLevel": "3", "logToStdout": "0", "logCombined": "0", "httpPort": "8080",
              "test": "1"}
    lines = [f"{name}={values.get(name, 'x')}\n" for name in (*values, *sorted(IGNORED_KEYS))]
    conf(folder, "".join(lines))
    config = read()
    assert len(config.warnings) == 1
    assert all(name in config.warnings[0] for name in IGNORED_KEYS)
    assert config.ignored["dbHost"].startswith("npp.conf:")


def test_keys_of_the_user_are_kept(folder: Path) -> None:
    conf(folder, "app.title=My shop\napp.dbPassword=a#b\n")
    config = read(("app.title", "Yours"))
    assert config.user == {"title": "Yours", "dbPassword": "a#b"}
    listing = config.listing()
    assert "app.title=Yours" in listing
    assert "a#b" not in listing


def test_key_set_twice_is_warned_of_and_the_last_counts(folder: Path) -> None:
    conf(folder, "httpPort=1\nhttpPort=2\n")
    config = read()
    assert config.http_port == 2
    assert config.warnings == ("npp.conf:2: httpPort was set before, in npp.conf:1.",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"httpPort 8080\n", "npp.conf:1: expected key=value, found 'httpPort 8080'."),
        (b"=8080\n", "npp.conf:1: expected key=value, found '=8080'."),
        (b"a\xffb=1\n", "npp.conf:1: not UTF-8."),
        (b"\nhttpPort=x\n", "npp.conf:2: httpPort=x: expected a whole number."),
    ],
)
def test_bad_line_is_named(folder: Path, data: bytes, message: str) -> None:
    (folder / "npp.conf").write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read()
    assert str(caught.value) == message


def test_conf_that_is_no_conf_is_refused(folder: Path) -> None:
    (folder / "npp.conf").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="longer than"):
        read()


def test_conf_with_a_byte_order_mark_is_read(folder: Path) -> None:
    (folder / "npp.conf").write_bytes(b"\xef\xbb\xbfhttpPort=81\n")
    assert read().http_port == 81


# --- where it lies --------------------------------------------------------------------------------


def test_conf_in_bin_of_npp_dir_is_found(folder: Path) -> None:
    (folder / "site" / "bin").mkdir(parents=True)
    (folder / "site" / "bin" / "npp.conf").write_text("httpPort=82\nres=public\n")
    config = read(environment={"NPP_DIR": "site"})
    assert config.http_port == 82
    assert config.app_dir == str(folder / "site")
    assert config.res == str(folder / "site" / "public")
    assert config.resmin == str(folder / "site" / "resmin")


def test_named_conf_must_exist(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"--conf: there is no file 'other\.conf'"):
        read(conf="other.conf")
    with pytest.raises(ConfigError, match=r"NPP_CONF: there is no file 'third\.conf'"):
        read(environment={"NPP_CONF": "third.conf"})


def test_missing_app_dir_is_named_by_its_source(folder: Path) -> None:
    with pytest.raises(ConfigError, match="--app-dir: there is no folder"):
        read(app_dir="nowhere")
    with pytest.raises(ConfigError, match="NPP_DIR: there is no folder"):
        read(environment={"NPP_DIR": "nowhere"})


@pytest.mark.parametrize("path", ["$BASE/logs/x", "${BASE}/logs/x", "%BASE%/logs/x"])
def test_variables_in_paths_are_replaced(folder: Path, path: str) -> None:
    conf(folder, f"logFile={path}\n")
    assert read(environment={"BASE": "/srv"}).log_file == "/srv/logs/x"


def test_npp_dir_in_a_path_is_the_applications_folder(folder: Path) -> None:
    conf(folder, "logFile=$NPP_DIR/logs/x\n")
    assert read().log_file == str(folder / "logs/x")


def test_unset_variable_in_a_path_is_an_error(folder: Path) -> None:
    conf(folder, "\nlogFile=$NOWHERE/x\n")
    with pytest.raises(ConfigError, match=r"npp\.conf:2: .*the environment has no NOWHERE"):
        read()


# --- who wins -------------------------------------------------------------------------------------


def test_command_line_wins_over_environment_over_conf(folder: Path) -> None:
    conf(folder, "httpPort=1\nhost=h1\nbacklog=11\n")
    config = read(("httpPort", "3"), environment={"NPP_PORT": "2", "NPP_HOST": "h2"})
    assert (config.http_port, config.host, config.backlog) == (3, "h2", 11)
    assert config.origins["http_port"] == "--httpPort"
    assert config.origins["host"] == "NPP_HOST"
    assert config.origins["backlog"] == "npp.conf:3"


def test_every_key_can_come_from_the_environment(folder: Path) -> None:
    assert read(environment={"NPP_MAX_PAYLOAD": "1m"}).max_payload == 1024**2


def test_port_of_a_platform_opens_all_addresses(folder: Path) -> None:
    config = read(environment={"PORT": "5000"})
    assert config.listeners == ("0.0.0.0:5000",)
    assert config.origins["host"] == "PORT"
    assert read(("host", "::1"), environment={"PORT": "5000"}).listeners == ("[::1]:5000",)


def test_near_miss_in_the_environment_is_warned_of(folder: Path) -> None:
    config = read(environment={"NPP_PROT": "81", "NPP_ELSE_ALTOGETHER": "1"})
    assert config.warnings == (
        "The environment's NPP_PROT is not a setting. Did you mean 'NPP_PORT'?",)


def test_empty_variable_says_nothing(folder: Path) -> None:
    assert read(environment={"NPP_PORT": ""}).http_port == 8080


# --- settings that decide others -----------------------------------------------------------------


@pytest.mark.parametrize("model", MEMORY_MODELS)
@pytest.mark.parametrize("prefix", ["", "NPP_MEM_"])
def test_memory_model_sets_the_connections(folder: Path, model: str, prefix: str) -> None:
    config = read(("memoryModel", prefix + model))
    assert config.max_connections == MEMORY_MODELS[model][0]
    assert config.origins["max_connections"] == "--memoryModel (memoryModel)"


def test_connections_of_the_same_weight_win_over_the_model(folder: Path) -> None:
    assert read(("memoryModel", "TINY"), ("maxConnections", "77")).max_connections == 77
    conf(folder, "maxConnections=77\n")
    assert read(("memoryModel", "TINY")).max_connections == 10


def test_without_a_model_there_are_ten_thousand_connections(folder: Path) -> None:
    assert read().max_connections == 10_000


def test_test_mode_turns_the_access_log_on(folder: Path) -> None:
    assert read(("test", "1")).access_log
    assert not read(("test", "1"), ("accessLog", "0")).access_log


def test_developers_mode_lets_browsers_keep_nothing_unless_that_was_set(folder: Path) -> None:
    config = read(("test", "1"))
    assert config.expires_statics_ms == 0
    assert config.origins["expires_statics_ms"] == "--test (test)"
    assert read(("test", "1"), ("expiresStatics", "5")).expires_statics_ms == 5000
    conf(folder, "test=1\nexpiresStatics=9\n")
    assert read().expires_statics_ms == 9000
    conf(folder, "expiresStatics=9\n")
    # NPP_DEV=1 weighs more than the file that the site runs with.
    assert read(environment={"NPP_DEV": "1"}).expires_statics_ms == 0
    assert not read().access_log


def test_log_combined_chooses_the_format(folder: Path) -> None:
    assert read(("logCombined", "1")).access_log_format == "combined"
    config = read(("logCombined", "1"), ("accessLogFormat", "json"))
    assert config.access_log_format == "json"


@pytest.mark.parametrize(
    ("options", "listeners"),
    [
        ((), ("127.0.0.1:8080",)),
        ((("httpPort", "0"),), ("127.0.0.1:0",)),
        ((("host", "::"),), ("[::]:8080",)),
        ((("bind", "a:1,unix:/x"),), ("a:1", "unix:/x")),
        ((("uds", "/x"),), ("unix:/x",)),
        ((("uds", "/x"), ("httpPort", "1")), ("127.0.0.1:1", "unix:/x")),
        ((("uds", "/x"), ("bind", "a:1")), ("a:1", "unix:/x")),
    ],
)
def test_listeners_follow_from_bind_port_and_uds(folder: Path, options, listeners) -> None:
    assert read(*options).listeners == listeners


def test_port_on_the_command_line_wins_over_bind_in_conf(folder: Path) -> None:
    conf(folder, "bind=a:1\n")
    assert read().listeners == ("a:1",)
    assert read(("httpPort", "2")).listeners == ("127.0.0.1:2",)


@pytest.mark.parametrize(
    "options",
    [
        (("bind", "a:1"), ("httpPort", "2")),
        (("bind", "a:1"), ("host", "b")),
        (("logFile", "x"), ("logToStdout", "1")),
        (("accessLog", "0"), ("accessLogFile", "x")),
        (("maxTargetSize", "9k"), ("maxHeaderSize", "8k")),
    ],
)
def test_contradiction_is_refused(folder: Path, options) -> None:
    with pytest.raises(ConfigError, match="contradict"):
        read(*options)


# --- the Config -----------------------------------------------------------------------------------


def test_config_is_frozen(folder: Path) -> None:
    config = read()
    with pytest.raises(AttributeError, match="cannot be changed"):
        config.http_port = 1


def test_listing_is_a_conf_that_gives_the_same_settings(folder: Path) -> None:
    config = read(("httpPort", "81"), ("headerTimeout", "1500ms"), ("maxPayload", "1.5m"),
                  ("serverHeader", "0"), ("app.x", "y"))
    assert "httpPort=81 " in config.listing()
    assert "# --httpPort" in config.listing()
    conf(folder, config.listing())
    again = read()
    for key in KEYS:
        assert getattr(again, key.attribute) == getattr(config, key.attribute), key.name


def test_engine_settings_use_the_names_of_the_core(folder: Path) -> None:
    settings = read(("headerTimeout", "2s"), ("serverHeader", "0")).engine_settings()
    assert settings["header_timeout_ms"] == 2000
    assert settings["server_header"] == b""
    assert settings["max_connections"] == 10_000
    assert settings["poller"] == "auto"
    assert settings["spool_dir"] is None


@pytest.mark.parametrize(
    ("settings", "attribute", "value"),
    [
        ({"port": 8081}, "http_port", 8081),
        ({"http_port": 8081}, "http_port", 8081),
        ({"httpPort": 8081}, "http_port", 8081),
        ({"timeout_header": 2}, "header_timeout_ms", 2000),
        ({"header_timeout": "2s"}, "header_timeout_ms", 2000),
        ({"access_log": True}, "access_log", True),
        ({"bind": ["a:1", "b:2"]}, "bind", ("a:1", "b:2")),
        ({"max_payload": "1m"}, "max_payload", 1024**2),
    ],
)
def test_app_run_takes_the_usual_names(folder: Path, settings, attribute, value) -> None:
    config = load_settings(settings)
    assert getattr(config, attribute) == value
    assert config.origins[attribute] == f"app.run({next(iter(settings))}=…)"


def test_app_run_refuses_unknown_names(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no setting 'prot'\. Did you mean 'port'"):
        load_settings({"prot": 1})


def test_npp_conf_of_the_checkout_lists_every_key_with_its_default() -> None:
    path = Path(__file__).parent.parent / "npp.conf"
    text = path.read_text()
    for key in KEYS:
        default = format_value(key, key.default)
        row = f"{key.name}={default}" if key.kind != "path" else f"{key.name}={key.default}"
        assert row in text, row
    config = load(environment={}, conf=os.fspath(path))
    for key in KEYS:
        if key.kind != "path" and key.name != "bind":
            assert getattr(config, key.attribute) == key.default, key.name
    for name in IGNORED_KEYS:
        assert f"# {name}=" in text, name


# --- visitors -------------------------------------------------------------------------------------


def test_settings_of_sessions_have_their_defaults(folder: Path) -> None:
    config = read()
    assert (config.max_sessions, config.session_data_size, config.session_file) == (
        50_000, 1024, "")
    assert config.blacklist == str(folder / "blacklist.txt")
    assert config.session_settings() == {
        "session_cookie": "as", "login_cookie": "ls", "session_bind_agent": True,
        "sessions_for_bots": False, "secure_cookies": False, "csrf": False, "login_path": "/login",
        "session_timeout_s": 600, "session_auth_timeout_s": 1800, "session_keep_s": 30 * 86400,
        "session_lifetime_s": 30 * 86400, "block_time_s": 86400}


def test_the_core_is_told_whole_seconds_and_never_fewer(folder: Path) -> None:
    settings = read(("sessionTimeout", "1500ms"), ("sessionKeep", "2d")).session_settings()
    assert (settings["session_timeout_s"], settings["session_keep_s"]) == (2, 172_800)


@pytest.mark.parametrize(
    ("name", "text", "attribute", "value"),
    [
        ("maxSessions", "1000000", "max_sessions", 1_000_000),
        ("requiredAuthLevel", "admin", "required_auth_level", 50),
        ("requiredAuthLevel", "AUTH_LEVEL_USER", "required_auth_level", 10),
        ("requiredAuthLevel", "25", "required_auth_level", 25),
        ("loginPath", "enter", "login_path", "/enter"),
        ("loginUri", "/enter/here", "login_path", "/enter/here"),
        ("loginUri", "", "login_path", "/"),
        ("sessionCookie", "shop_session-1", "session_cookie", "shop_session-1"),
        ("IPBlackList", "/etc/bad.txt", "blacklist", "/etc/bad.txt"),
        ("IPWhiteList", "", "whitelist", ""),
    ],
)
def test_settings_of_visitors_are_written_so(folder: Path, name, text, attribute, value) -> None:
    conf(folder, f"{name}={text}\n")
    config = read()
    assert getattr(config, attribute) == value
    (folder / "again.conf").write_text(config.listing())
    assert getattr(read(conf="again.conf"), attribute) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("maxSessions", "0", "expected 1 to 1000000"),
        ("maxSessions", "1000001", "expected 1 to 1000000"),
        ("sessionDataSize", "15", "expected 16 to 1m"),
        ("sessionDataSize", "2m", "expected 16 to 1m"),
        ("sessionTimeout", "0", "expected 1s to 400d"),
        ("sessionTimeout", "999ms", "expected 1s to 400d"),
        ("sessionLifetime", "401d", "expected 1s to 400d"),
        ("sessionCookie", "", "1 to 64 letters"),
        ("sessionCookie", "a b", "1 to 64 letters"),
        ("sessionCookie", "a=b", "1 to 64 letters"),
        ("sessionCookie", "ä", "1 to 64 letters"),
        ("sessionCookie", "x" * 65, "1 to 64 letters"),
        ("loginCookie", "__Host-ls", "under HTTPS it is added"),
        ("loginCookie", "__secure-ls", "under HTTPS it is added"),
        ("loginPath", "//evil.example", "a path of this server"),
        ("loginPath", "https://evil.example/", "a path of this server"),
        ("loginPath", "/login?x=1", "a path of this server"),
        ("loginPath", "/log in", "a path of this server"),
        ("loginPath", "/anmelden/ö", "a path of this server"),
        ("requiredAuthLevel", "STUFF", "'STUFF' is no level; there are NONE, ANONYMOUS"),
        ("requiredAuthLevel", "126", "a level is 0 to 125"),
        ("csrf", "strict", "expected 1 or 0"),
    ],
)
def test_settings_of_visitors_that_cannot_be_are_refused(folder: Path, name, text, message) -> None:
    with pytest.raises(ConfigError, match=message):
        read((name, text))


def test_a_memory_model_says_how_many_sessions(folder: Path) -> None:
    assert read(("memoryModel", "TINY")).max_sessions == 5
    assert read(("memoryModel", "TINY"), ("maxSessions", "7")).max_sessions == 7
    conf(folder, "maxSessions=7\n")
    config = read(("memoryModel", "XXXXXXLARGE"))
    assert (config.max_sessions, config.origins["max_sessions"]) == (
        100_000, "--memoryModel (memoryModel)")


def test_a_shorter_life_shortens_what_nobody_chose(folder: Path) -> None:
    config = read(("sessionLifetime", "20m"))
    assert config.session_timeout_ms == 600_000
    assert config.session_auth_timeout_ms == config.session_keep_ms == 1_200_000
    assert config.origins["session_keep_ms"] == "--sessionLifetime (sessionLifetime)"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sessionTimeout": "2h", "sessionLifetime": "1h"}, "no session outlives the latter"),
        ({"sessionKeep": "60d"}, r"sessionKeep \(--sessionKeep\) and sessionLifetime \(default\)"),
        ({"sessionCookie": "id", "loginCookie": "id"}, "each needs a name of its own"),
        ({"sessionCookie": "ls"}, r"sessionCookie \(--sessionCookie\) and loginCookie \(default\)"),
        ({"blacklist": "a.txt", "whitelist": "a.txt"}, "both are .*/a.txt"),
        ({"blacklist": "a.txt", "sessionFile": "./a.txt"}, "both are .*/a.txt"),
    ],
)
def test_settings_of_visitors_that_contradict_are_refused(folder: Path, settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        read(*settings.items())


def test_lists_of_the_same_weight_say_where_they_are(folder: Path) -> None:
    (folder / "bin").mkdir()
    conf(folder / "bin", "IPBlackList=bad.txt\nIPWhiteList=good.txt\n")
    (folder / "bin" / "bad.txt").write_text("")
    config = read()
    assert config.blacklist == str(folder / "bin" / "bad.txt")     # as in Node++, beside npp.conf
    assert config.whitelist == str(folder / "good.txt")            # not there: said at the start
    (folder / "bad.txt").write_text("")
    assert read().blacklist == str(folder / "bad.txt")


# --- public files ---------------------------------------------------------------------------------


def test_settings_of_public_files_have_their_defaults(folder: Path) -> None:
    config = read()
    assert config.expires_statics_ms == 90 * 24 * 3600 * 1000
    assert config.res_cache_threshold == 16 * 1024 * 1024
    assert (config.compress, config.compress_threshold, config.precompress) == (True, 500, False)
    assert config.engine_settings()["compress_threshold"] == 500
    assert "expiresStatics=90d " in config.listing()
    assert config.snippets == str(folder / "snippets")
    assert config.templates == str(folder / "templates")


def test_days_are_read_and_shown_as_days(folder: Path) -> None:
    for text, shown in (("1d", "86400s"), ("2d", "2d"), ("36h", "129600s"), ("0", "0ms"),
                        ("3600", "3600s")):
        conf(folder, f"expiresStatics={text}\n")
        assert f"expiresStatics={shown} " in read().listing()
    conf(folder, "expiresStatics=11y\n")
    with pytest.raises(ConfigError, match="expected a time like"):
        read()
    conf(folder, "expiresStatics=4000d\n")
    with pytest.raises(ConfigError, match="0ms to 3650d"):
        read()


def test_thresholds_may_be_spelled_as_in_nodeplusplus_and_rightly(folder: Path) -> None:
    for name in ("resCacheTreshold", "resCacheThreshold"):
        conf(folder, f"{name}=1m\n")
        assert read().res_cache_threshold == 1024 * 1024
    for name in ("compressThreshold", "compressTreshold"):
        conf(folder, f"{name}=1k\n")
        assert read().compress_threshold == 1024


def test_without_compression_the_engine_is_told_so(folder: Path) -> None:
    assert read(("compress", "0")).engine_settings()["compress_threshold"] == -1


def test_the_cache_lies_in_the_users_cache_folder_unless_told_otherwise(folder: Path) -> None:
    home = os.path.expanduser("~")
    for environment, expected in (
        ({}, f"{home}/.cache/nodepp"),
        ({"XDG_CACHE_HOME": "/var/tmp/caches"}, "/var/tmp/caches/nodepp"),
        ({"XDG_CACHE_HOME": "relative"}, f"{home}/.cache/nodepp"),      # to be ignored
        ({"NPP_STATIC_CACHE": "mine"}, str(folder / "mine")),
    ):
        assert read(environment=environment).static_cache == expected
    conf(folder, "staticCache=\n")
    assert read(environment={"XDG_CACHE_HOME": "/var/tmp/caches"}).static_cache == ""
    conf(folder, "staticCache=~/other\n")
    assert read().static_cache == f"{home}/other"
