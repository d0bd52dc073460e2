"""The tree: YAML in, mistakes named, one fingerprint for everything that changes a number."""

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from finembed_core.calendar import DecisionCalendar
from finembed_core.chain import chain
from finembed_core.errors import SettingsError
from finembed_core.fingerprint import digest
from finembed_core.settings import (
    MODEL_KINDS,
    DatasetSettings,
    FilesSource,
    PolyModelSettings,
    Section,
    Settings,
    TableFiles,
    load_settings,
)
from finembed_core.store import PartStore

HOW_AND_WHERE = ("execution.", "report.", "dataset.files.", "pairs")
BESIDE = "embeddings."
"""No portfolio of the chain rests on embeddings, so no run is known by their settings."""
WHICH_DECISIONS = ("embeddings.enabled", "embeddings.first_decision", "embeddings.last_decision")
OTHERS: tuple[Any, ...] = (True, False, 1, 2, 3, 5, 30, 40, 100, 5000, 0.3, 0.7, 1.5, 0.05, -0.5)
OTHERS += (
    "2001-03",
    "other",
    ["logistic"],
    list(reversed(MODEL_KINDS)),
    ["other"],
    [0.5],
    [-0.5],
    [7],
    "2001-03-01",
    ["linear", "rlinear", "itransformer"],
    ["probe", "multi_modal"],
    [2.0, 0.5],
    {"ret": "x"},
    {"stocks": "F1"},
    {"first_month": "2001-03", "funds": ["F1"], "columns": ["r2"]},
)


def sections(kind: type[Section] = Settings, path: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Every section with its path, which ends with a dot."""
    yield path, kind
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from sections(field.annotation, f"{path}{name}.")


def leaves() -> Iterator[str]:
    """Paths of every single setting; the tables of a source of files are single ones."""
    inner = {path.removesuffix(".") for path, _ in sections()}
    for path, kind in sections():
        yield from (path + name for name in kind.model_fields if path + name not in inner)


LEAVES = list(leaves())


def tree_of(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def value_at(settings: Settings, path: str) -> Any:
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


def changed(path: str) -> Settings:
    """Settings that differ from the defaults in this one place."""
    section = dict(sections())[path[: path.rfind(".") + 1]]
    field = section.model_fields[path.rpartition(".")[2]]
    table = {"path": "/data/table.csv"}
    named = typing.get_args(field.annotation)
    for value in (*named, *OTHERS, table, [table]):
        try:
            settings = Settings.model_validate(tree_of(path, value))
        except ValidationError:
            continue
        if value_at(settings, path) != value_at(Settings(), path):
            return settings
    raise AssertionError(f"no other value found for {path}")


def load(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "finembed.yaml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file)


def complaint(tmp_path: Path, text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert str(caught.value.where).startswith(str(tmp_path / "finembed.yaml"))
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        "{}",
        "polymodel:\nbacktest:\n  # cost_bps: 5\n",
        "learning:\n  itransformer:\n  lightgbm:\nbacktest:\n  terminal_return:\n",
        "dataset:\n  files:\n  simulated:\n",
        "dataset:\n  files:\n    fund_observations:\n    funds:\n    series_observations:\n",
    ],
)
def test_what_is_not_said_has_its_default(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == load_settings(None) == Settings()


@pytest.mark.parametrize("path", LEAVES)
def test_every_setting_survives_the_way_through_yaml(tmp_path: Path, path: str) -> None:
    settings = changed(path)
    text = yaml.safe_dump(settings.model_dump(mode="json", exclude_unset=True))
    again = load(tmp_path, text)
    assert again == settings
    assert again.dataset.label == settings.dataset.label
    whole = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=True)
    assert load(tmp_path, whole) == settings


@pytest.mark.parametrize("path", LEAVES)
def test_the_fingerprint_of_a_study_holds_all_that_changes_a_number(path: str) -> None:
    same = digest(changed(path).study) == digest(Settings().study)
    assert same == path.startswith((*HOW_AND_WHERE, BESIDE))


@pytest.mark.parametrize(
    ("section", "stage"),
    [
        ("ingest.", "universe"),
        ("universe.", "universe"),
        ("macro.", "macro_factors"),
        ("polymodel.", "polymodel_features"),
        ("learning.", "predictions"),
        ("learning.itransformer.", "trend_model_itransformer"),
        ("learning.lightgbm.", "trend_model_lightgbm"),
        ("learning.logistic.", "trend_model_logistic"),
        ("embeddings.", "embeddings"),
    ],
)
def test_a_stage_is_stale_after_a_change_of_its_own_settings_alone(
    tmp_path: Path, section: str, stage: str
) -> None:
    store = PartStore(tmp_path)
    before = {name: link.stage.settings for name, link in chain(store, Settings()).items()}
    own = [p for p in LEAVES if p.startswith(section) and p not in WHICH_DECISIONS]
    assert own
    beside = ("trend_model", "predictions", "fund_model", "fund_predictions")
    for path in own:
        after = {name: link.stage.settings for name, link in chain(store, changed(path)).items()}
        moved = {name for name in after if after[name] != before.get(name)}
        assert stage in moved, path
        others = {name for name in moved if not name.startswith(beside)}
        assert others <= {stage}, path


def test_all_trained_models_but_the_majority_select_unless_others_are_named() -> None:
    trained = {"models": ["majority", "logistic", "persistence"]}
    assert Settings.model_validate({"learning": trained}).portfolio.models == [
        "logistic",
        "persistence",
    ]
    named = {"learning": trained, "portfolio": {"models": ["persistence"]}}
    assert Settings.model_validate(named).portfolio.models == ["persistence"]


@pytest.mark.parametrize(
    "tree",
    [
        {"embeddings": {"seeds": [1]}},
        {"embeddings": {"first_decision": None}},
        {"dataset": {"source": "packaged"}},
        {"dataset": {"source": "simulated"}, "embeddings": {"encoder": {"width": 16}}},
        {"learning": {"models": ["majority", "logistic"]}},
        {"learning": {"models": ["logistic"]}, "portfolio": {"models": ["logistic"]}},
    ],
)
def test_objects_make_the_same_study_as_the_file(
    tmp_path: Path, tree: dict[str, dict[str, Any]]
) -> None:
    file = tmp_path / "finembed.yaml"
    file.write_text(yaml.safe_dump(tree))
    kinds = {name: Settings.model_fields[name].annotation for name in tree}
    objects: dict[str, Any] = {name: kinds[name](**given) for name, given in tree.items()}
    assert Settings(**objects) == load_settings(file)


def test_a_model_is_not_trained_again_for_the_settings_of_another(tmp_path: Path) -> None:
    store = PartStore(tmp_path)
    before = chain(store, Settings())
    for path in ("learning.lightgbm.leaves", "learning.models"):
        after = chain(store, changed(path))
        assert after["trend_model_logistic"].stage.settings == (
            before["trend_model_logistic"].stage.settings
        )


@pytest.mark.parametrize("path", [path for path in LEAVES if path.startswith(HOW_AND_WHERE)])
def test_how_and_where_make_no_stage_stale(tmp_path: Path, path: str) -> None:
    before, after = (chain(PartStore(tmp_path), s) for s in (Settings(), changed(path)))
    for name, link in before.items():
        assert after[name].stage.settings == link.stage.settings, name


@pytest.mark.parametrize("path", WHICH_DECISIONS)
def test_which_decisions_there_are_makes_none_of_them_stale(tmp_path: Path, path: str) -> None:
    before, after = (chain(PartStore(tmp_path), s) for s in (Settings(), changed(path)))
    for name, link in after.items():
        assert before[name].stage.settings == link.stage.settings, name


@pytest.mark.parametrize("path", [path for path, _ in sections()])
def test_a_misspelt_name_is_answered_with_the_names_of_its_section(
    tmp_path: Path, path: str
) -> None:
    error = complaint(tmp_path, yaml.safe_dump(tree_of(f"{path}misspelt", 1)))
    assert error.what == f"there is no setting `{path}misspelt`"
    names = ", ".join(sorted(dict(sections())[path].model_fields))
    assert error.remedy == f"settings here: {names}"


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        (
            "dataset: {files: {fund_observations: [{path: a}, {path: b, colums: {}}]}}",
            "no setting `dataset.files.fund_observations.1.colums`",
            "columns",
        ),
        (
            "dataset: {files: {funds: {pth: a}}}",
            "no setting `dataset.files.funds.pth` (and 1 more)",
            "path",
        ),
        ("learning: {models: [logistic, tree]}", "`learning.models.1` is 'tree'", "models"),
        ("learning: {itransformer: {heads: 3}}", "heads (3) must divide d_model (32)", "lightgbm"),
        ("backtest: {cost_bps: 1001}", "`backtest.cost_bps` is 1001: Input should be", "cost_bps"),
        ("backtest: {initial_nav: .inf}", "`backtest.initial_nav` is inf", "initial_nav"),
        ("macro: {outlier_iqr: .nan}", "`macro.outlier_iqr` is nan", "outlier_iqr"),
        ("polymodel: {seed: -1}", "`polymodel.seed` is -1", "seed"),
        ("learning: {seeds: [1, -2]}", "`learning.seeds.1` is -2", "seeds"),
        ("polymodel: {shuffles: many}", "`polymodel.shuffles` is 'many'", "shuffles"),
        ("dataset: {first_month: 2000-01-31}", "`dataset.first_month` is datetime.date", "month"),
        ("polymodel: 3", "`polymodel` is 3: it is a section", "polymodel"),
        ("pairs: {}", "`pairs.first_month` is needed", "last_month"),
        ("pairs: {frist_month: 2001-03}", "no setting `pairs.frist_month`", "first_month"),
        ("pairs: {first_month: 2001-13}", "`pairs.first_month` is '2001-13'", "last_month"),
        (
            "pairs: {first_month: 2001-03, last_month: 2001-02}",
            "in section `pairs`: first_month (2001-03) comes after last_month (2001-02)",
            "pairs",
        ),
        ("pairs: {first_month: 2001-03, funds: []}", "`pairs.funds` is []", "factors"),
        ("pairs: {first_month: 2001-03, columns: [beta]}", "`pairs.columns.0` is 'beta'", "funds"),
        (
            "pairs: {first_month: 2001-03, columns: [beta_3]}\npolymodel: {degree: 2}",
            "between sections: pairs.columns names beta_3, and polymodel.degree is 2",
            "pairs",
        ),
        (
            "polymodel: {window: 12, min_obs: 24}",
            "in section `polymodel`: min_obs (24) is more than the window",
            "macro",
        ),
        (
            "dataset: {first_month: 2001-02, last_month: 2001-01}",
            "in section `dataset`: first_month (2001-02) comes after last_month (2001-01)",
            "dataset",
        ),
        (
            "polymodel: {significance: exact, selection: absolute, alpha: 0.01, shuffles: 98}",
            "alpha (0.01) is less than 1/(shuffles + 1) = 0.0101: no pair could ever be selected",
            "polymodel",
        ),
        (
            "learning: {models: [logistic]}\nportfolio: {models: [logistic, lightgbm]}",
            "between sections: portfolio.models names lightgbm, which learning.models does not",
            "portfolio",
        ),
        ("portfolio: {models: [logistic, logistic]}", "logistic stands twice", "selected_share"),
        ("learning: {models: [majority, majority]}", "majority stands twice", "lookback"),
        ("learning: {seeds: [1, 2, 1]}", "1 stands twice", "seeds"),
        ("ploymodel:", "no setting `ploymodel`", "polymodel"),
        ("polymodel: {ridge: 0, rigde: 1}", "no setting `polymodel.rigde` (and 1 more)", "ridge"),
    ],
)
def test_a_mistake_is_named_by_its_path_with_what_is_allowed_there(
    tmp_path: Path, text: str, what: str, remedy: str
) -> None:
    error = complaint(tmp_path, text)
    assert what in error.what
    assert remedy in str(error.remedy)


@pytest.mark.parametrize("text", ["polymodel: 3", "learning: {lightgbm: []}", "macro: {rule: 1}"])
def test_a_message_names_no_class(tmp_path: Path, text: str) -> None:
    said = str(complaint(tmp_path, text))
    assert "Settings" not in said and "Value error" not in said and "instance" not in said


def test_an_alpha_at_the_smallest_p_value_is_reached() -> None:
    for shuffles in range(19, 400):
        alpha = 1 / (shuffles + 1)
        exact = {"significance": "exact", "selection": "absolute", "shuffles": shuffles}
        assert PolyModelSettings(alpha=alpha, **exact).alpha == alpha
    assert PolyModelSettings(shuffles=19, selection="benjamini_hochberg").alpha == 0.1


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        ("polymodel: {ridge: 2, alpha: 0.5, ridge: 3}", "ridge", 1),
        ("macro: {}\n\nmacro: {}", "macro", 3),
    ],
)
def test_a_name_that_stands_twice_is_an_error(
    tmp_path: Path, text: str, name: str, line: int
) -> None:
    error = complaint(tmp_path, text)
    assert error.what == f"`{name}` stands twice in its section"
    assert str(error.where).endswith(f", line {line}")


def test_a_list_is_no_tree(tmp_path: Path) -> None:
    assert "sections" in complaint(tmp_path, "- polymodel").what


def test_values_do_not_change(tmp_path: Path) -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.polymodel.ridge = 3.0
    settings.learning.seeds.append(99)
    assert Settings().learning.seeds == [1, 2, 3]


def test_paths_start_at_the_folder_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study").mkdir()
    Path("study/finembed.yaml").write_text(
        "dataset:\n  source: files\n  files:\n    fund_observations: [{path: 'funds-*.csv'}]\n"
        "    series: {path: /data/series.csv, layout: wide}\n"
        "    daily_observations: [{path: navs}]\n    daily_funds: {path: daily.csv}\n"
    )
    files = load_settings(Path("study/finembed.yaml")).dataset.files
    assert files == FilesSource(
        fund_observations=[TableFiles(path=str(tmp_path / "study" / "funds-*.csv"))],
        series=TableFiles(path="/data/series.csv", layout="wide"),
        daily_observations=[TableFiles(path=str(tmp_path / "study" / "navs"))],
        daily_funds=TableFiles(path=str(tmp_path / "study" / "daily.csv")),
    )


def test_a_profile_says_when_funds_report_and_when_one_decides() -> None:
    liquid, hedge = DatasetSettings(), DatasetSettings(profile="hedge_funds")
    assert (liquid.fund_lag, hedge.fund_lag) == (0, 15)
    assert hedge.calendar == DecisionCalendar(15)
    slow = DatasetSettings(profile="hedge_funds", fund_lag_days=20)
    assert (slow.fund_lag, slow.calendar) == (20, DecisionCalendar(20))
    assert DatasetSettings(decision_lag_days=3).calendar == DecisionCalendar(3)
    assert DatasetSettings(profile="hedge_funds", fund_lag_days=0).fund_lag == 0


def test_data_are_called_by_the_name_that_they_were_given() -> None:
    assert DatasetSettings().label == "french_monthly"
    assert DatasetSettings(source="files").label == "files"
    assert DatasetSettings(source="files", name="mine").label == "mine"
