"""The command line in general: finding commands, errors as one sentence, exit codes, fast help."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import zipfile

import pytest

import autoenc
from autoenc import cli, load_model
from tests.helpers import ROOT

COMMAND = """
HELP = "Do what a test asks for."
EPILOG = "example:\\n  autoenc probe --number 1"

def add_arguments(parser):
    parser.add_argument("--number", type=int, default=1)

def run(args):
    {body}
"""


@pytest.fixture
def probe(tmp_path, monkeypatch):
    """A function that makes the command `autoenc probe` with a body and runs it."""
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])

    def run(body, *arguments):
        (tmp_path / "probe.py").write_text(COMMAND.format(body=body), encoding="utf-8")
        monkeypatch.delitem(sys.modules, "autoenc.cli.probe", raising=False)
        monkeypatch.delattr(cli, "probe", raising=False)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return cli.main(["probe", *arguments])

    return run


def test_a_file_in_the_folder_is_a_command(probe, capsys):
    assert probe("print(args.number + 1)", "--number", "41") == 0
    assert capsys.readouterr() == ("42\n", "")


@pytest.mark.parametrize(("returned", "code"), [("None", 0), ("0", 0), ("1", 1)])
def test_exit_code_is_what_run_returns(probe, returned, code):
    assert probe(f"return {returned}") == code


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        ("ValueError('epochs is 0;\\n    pass a positive number')", "epochs is 0; pass a positive number"),
        ("TypeError('ids are text')", "ids are text"),
        ("OSError('no room on the disk')", "no room on the disk"),
        ("ValueError()", "ValueError"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(probe, capsys, monkeypatch, raised, sentence):
    monkeypatch.delenv("AUTOENC_DEBUG", raising=False)
    assert probe(f"raise {raised}") == 2
    assert capsys.readouterr() == ("", f"autoenc probe: {sentence}\n")


def test_an_error_of_the_system_names_the_file(probe, capsys, tmp_path):
    missing = tmp_path / "missing.npy"
    assert probe(f"open({str(missing)!r})") == 2
    assert capsys.readouterr().err == f"autoenc probe: {missing}: No such file or directory\n"


def test_debug_shows_the_traceback_too(probe, capsys, monkeypatch):
    monkeypatch.setenv("AUTOENC_DEBUG", "1")
    assert probe("raise ValueError('wrong')") == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("autoenc probe: wrong\n")


def test_what_is_not_bad_input_is_not_hidden(probe):
    with pytest.raises(ZeroDivisionError):
        probe("1 / 0")


def test_a_training_that_diverged_ran_and_failed(probe, capsys):
    assert probe("raise FloatingPointError('the loss became nan')") == 1
    assert capsys.readouterr().err == "autoenc probe: the loss became nan\n"


def test_interrupt_is_130(probe, capsys):
    assert probe("raise KeyboardInterrupt") == 130
    assert capsys.readouterr().err == "autoenc probe: interrupted\n"


def test_interrupt_before_the_command_is_130_too(monkeypatch, capsys):
    def interrupted(command):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build_parser", interrupted)
    assert cli.main([]) == 130
    assert capsys.readouterr().err == "autoenc: interrupted\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "autoenc: the following arguments are required: COMMAND (see autoenc --help)"),
        (
            ["probe", "--number", "x"],
            "autoenc probe: argument --number: invalid int value: 'x' (see autoenc probe --help)",
        ),
        (["probe", "--colour"], "autoenc: unrecognized arguments: --colour (see autoenc --help)"),
    ],
)
def test_wrong_arguments_are_one_sentence_and_code_2(probe, capsys, arguments, sentence):
    probe("pass")
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr() == ("", sentence + "\n")


def test_help_and_version(probe, capsys):
    probe("pass")
    for arguments in (["--help"], ["--version"], ["probe", "--help"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "Do what a test asks for." in out
    assert f"autoenc {autoenc.__version__}\n" in out
    assert out.endswith("example:\n  autoenc probe --number 1\n")


def run_python(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, **options)


def test_help_imports_nothing_heavy():
    run = run_python("-X", "importtime", "-m", "autoenc", "--help")
    assert run.returncode == 0, run.stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in run.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"numpy", "scipy", "numba"}


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    (tmp_path / "probe.py").write_text(COMMAND.format(body="print('line\\n' * 100_000)"), encoding="utf-8")
    start = (
        f"import sys; from autoenc import cli; cli.__path__.append({str(tmp_path)!r}); sys.exit(cli.main(['probe']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", start],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
    process.stderr.close()


@pytest.mark.parametrize(
    ("encoding", "printed"), [("ascii", r"Am\xe9lie \u5343\ud800"), ("cp1252", r"Amélie \u5343\ud800")]
)
def test_a_title_that_the_terminal_cannot_show_does_not_break_a_table(tmp_path, encoding, printed):
    body = "print('Amélie \\u5343\\ud800')"
    (tmp_path / "probe.py").write_text(COMMAND.format(body=body), encoding="utf-8")
    start = (
        f"import sys; from autoenc import cli; cli.__path__.append({str(tmp_path)!r}); sys.exit(cli.main(['probe']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", start], env=environment, capture_output=True)
    assert (done.returncode, done.stdout.decode(encoding).replace("\r\n", "\n"), done.stderr) == (
        0,
        printed + "\n",
        b"",
    )


COMMANDS = cli.command_names()


def example_of(name) -> list[str]:
    """The arguments of the example that a command's help ends in."""
    cli.build_parser()
    command = sys.modules[f"autoenc.cli.{name}"]
    assert "\n" not in command.HELP
    title, line = command.EPILOG.splitlines()[-2:]
    assert title == "example:"
    program, *arguments = shlex.split(line)
    assert (program, arguments[0]) == ("autoenc", name)
    return arguments


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the examples need: the model of train's, a checkpoint, and ratings in a zip."""
    folder = tmp_path_factory.mktemp("examples")
    with zipfile.ZipFile(folder / "ml-1m.zip", "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "1::1193::5::978300760\n1::661::3::978302109\n2::1193::4::978298413\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(example_of("train")) == 0
        tiny = ["--epochs", "1", "--emb-dim", "8", "--hidden-dim", "4", "--backend", "numpy"]
        assert cli.main(["train", *tiny, "--checkpoint", "checkpoint", "--out", "network.safetensors"]) == 0
        (folder / "new.csv").write_text("user,item\n7,6\n7,1000001\n8,6\n8,1000001\n")
    return folder


def test_the_examples_of_the_helps_one_after_another_make_sense(folder, monkeypatch, capsys):
    """Train, recommend, similar and explain, as they stand: crime films of those years for Heat and Ronin."""
    monkeypatch.chdir(folder)
    assert "--out model.safetensors" in shlex.join(example_of("train"))
    alike = {
        *(
            "Casino",
            "Seven",
            "Fargo",
            "Rock, The",
            "Primal Fear",
            "Eraser",
            "Mission: Impossible",
            "Usual Suspects, The",
        ),
        *("Leaving Las Vegas", "Broken Arrow", "Twelve Monkeys", "L.A. Confidential", "Pulp Fiction"),
    }
    for name in ("recommend", "similar"):
        assert cli.main([*example_of(name), "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        rows = answer.get("recommended") or answer["similar"]
        titles = {row["item"].partition(" (")[0] for row in rows}
        assert len(titles & alike) >= 6 and not any(row["by_popularity"] for row in rows)
    assert cli.main([*example_of("explain"), "--json"]) == 0
    assert all(driver["contribution"] > 0 for driver in json.loads(capsys.readouterr().out)["because"])
    beside = load_model("model.safetensors").about_["beside_popularity"]
    assert beside["model"] > 1.5 * beside["popularity"]


# The example of serve runs until it is told to stop; test_serve.py runs it.
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.optional] * (name == "tune")) for name in COMMANDS if name != "serve"],
)
def test_every_commands_example_runs(name, folder, monkeypatch, capsys):
    if name == "tune":
        pytest.importorskip("optuna")
    monkeypatch.chdir(folder)
    arguments = example_of(name)
    assert cli.main(arguments) == 0
    out, err = capsys.readouterr()
    assert out and "\r" not in err, "a progress bar where stderr is not a terminal"
    if name == "exercise":  # which prints a file of Python
        assert isinstance(ast.parse(out), ast.Module)
        return
    if name not in ("train", "doctor"):  # whose examples print JSON
        assert not out.startswith("{")
        assert cli.main([*arguments, "--json"]) == 0
        out, _ = capsys.readouterr()
    assert out.count("\n") == 1 and isinstance(json.loads(out), dict)


def test_the_example_of_the_help_itself_runs(capsys):
    program, *arguments = shlex.split(cli.EPILOG.strip().splitlines()[-1])
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert (program, stop.value.code) == ("autoenc", 0) and "example:" in capsys.readouterr().out


def test_the_help_lists_every_command_and_first_what_a_person_starts_with(probe, capsys):
    probe("pass")
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    listed = re.findall(r"^  (\w+) +\w", out[: out.index("\noptions:")], re.MULTILINE)
    assert listed[:3] == ["train", "recommend", "serve"]
    assert sorted(listed) == cli.command_names() and "probe" in listed
