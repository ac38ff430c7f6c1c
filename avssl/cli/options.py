"""Click options generated from config dataclasses: one for each field, with type, choices, default and description."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import click

from avssl import plugins
from avssl.config_fields import choices, options_plugin

PLAIN = {int: "INTEGER", float: "FLOAT", bool: "BOOLEAN", str: "TEXT", Path: "PATH"}
"""Type of a field -> the word that stands for its value in the help."""

ARGUMENTS, FIELDS, GIVEN = (f"{__name__}.{each}" for each in ("arguments", "fields", "given"))
"""Where a context keeps the words of the command line, the generated options, and what they were given."""


@dataclass(frozen=True)
class OptionField:
    """One key of a config, as the command line shows it."""

    key: str
    """Dotted, such as `optim.lr`."""
    value: str
    """Type or choices: `FLOAT`, `[aac|pcm]`."""
    default: Any
    """Value where nothing is given."""
    text: str
    """The docstring under the field; empty if there is none."""
    plugin: str = ""
    """Name of the plug-in that the key belongs to, such as a task."""
    several: bool = False
    """Whether its value is a list: `[A,B]`, or `A,B`."""

    @property
    def section(self) -> str:
        """Keys before the last one, and the plug-in: `optim` of `optim.lr`, `options (avsa)`; empty at the top."""
        return self.key.rpartition(".")[0] + (f" ({self.plugin})" if self.plugin else "")

    @property
    def flag(self) -> str:
        """`--optim.weight-decay` of `optim.weight_decay`."""
        return f"--{self.key.replace('_', '-')}"


class FieldOption(click.Option):
    """The flag of one key; it gives `(key, text)`, or None where the flag is missing, so that a recipe's value stays.

    Values are checked with the config, where the recipe and `--set` are checked too.
    """

    def __init__(self, field: OptionField) -> None:
        flag: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if field.value == PLAIN[bool] else {}
        shown = default_text(field.default)
        super().__init__(
            [field.flag, _parameter(field.key)],
            metavar=field.value,
            help=f"{field.text}  [default: {shown}]".strip() if shown else field.text or None,
            expose_value=False,
            callback=self._keep,
            **flag,
        )
        self.field = field

    def _keep(self, context: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            bare = self.field.several and not value.startswith("[")
            given_keys(context).append(f"{self.field.key}={f'[{value}]' if bare else value}")


def given_keys(context: click.Context) -> list[str]:
    """`KEY=VALUE` of every generated flag on the command line, in its order."""
    found: list[str] = context.meta.setdefault(GIVEN, [])
    return found


def dataclass_options(
    kind: type, taken: Container[str] = (), chosen: Callable[[str], str] = lambda _: ""
) -> list[FieldOption]:
    """An option for each field of a dataclass; of dataclasses inside it and of plug-ins' options by dotted names.

    Args:
        kind: a dataclass.
        taken: flags that the command has already; a field of that name is left to `--set`.
        chosen: the value that the command line gives to a key, or an empty text; it names plug-ins.

    Raises:
        InputError: a plug-in that is named is not installed, or does not import.
    """
    return [FieldOption(field) for field in option_fields(kind, chosen=chosen) if field.flag not in taken]


def option_fields(
    kind: type, prefix: str = "", default: Any = MISSING, chosen: Callable[[str], str] = lambda _: "", plugin: str = ""
) -> Iterator[OptionField]:
    """The keys of a dataclass, in the order of its fields; of a dataclass inside it or of a plug-in, their keys.

    Args:
        kind: a dataclass.
        prefix: stands before every key.
        default: an instance whose values are the defaults; missing: those of the class.
        chosen: see `dataclass_options`.
        plugin: that the keys belong to.
    """
    texts, hints = field_texts(kind), get_type_hints(kind)
    for field in fields(kind):
        key, value = prefix + field.name, _default(field) if default is MISSING else getattr(default, field.name)
        if is_dataclass(hints[field.name]):
            yield from option_fields(hints[field.name], f"{key}.", value, chosen, plugin)  # type: ignore[arg-type]
        elif filler := options_plugin(field):
            group, name = filler.group, filler.name or chosen(filler.key) or _default_of(kind, filler.key)
            if filler.optional:
                yield OptionField(f"{key}.enabled", PLAIN[bool], True, "False: leave this out.", name)
            yield from option_fields(plugins.load_options(group, name), f"{key}.", chosen=chosen, plugin=name)
        else:
            text, several = texts.get(field.name, ""), get_origin(hints[field.name]) in (list, tuple)
            yield OptionField(key, _value(field, hints[field.name]), value, text, plugin, several)


class ConfigCommand(click.Command):
    """A command with an option for each config key; they are made when the command is parsed or explains itself.

    The help shows them by sections. So that naming a plug-in can change them, the arguments are looked through first.
    """

    def __init__(self, *args: Any, config: Callable[[], type], **kwargs: Any) -> None:
        """Take `click.Command`'s arguments, and what gives the dataclass."""
        super().__init__(*args, **kwargs)
        self.config = config
        self.context_settings.setdefault("token_normalize_func", lambda flag: flag.replace("_", "-"))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, with the arguments at hand for `get_params`."""
        ctx.meta[ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Fixed parameters, then one for each config key."""
        return [*super().get_params(ctx), *self.fields(ctx)]

    def fields(self, ctx: click.Context) -> list[FieldOption]:
        """The options of config keys; made once for a context."""
        if FIELDS not in ctx.meta:
            taken = {flag for each in super().get_params(ctx) for flag in each.opts}
            ctx.meta[FIELDS] = dataclass_options(self.config(), taken, lambda key: self.chosen(ctx, key))
        found: list[FieldOption] = ctx.meta[FIELDS]
        return found

    def chosen(self, ctx: click.Context, key: str) -> str:
        """The value of a key on the command line, else in the recipe that it names; empty if there is none."""
        return self._given(ctx, key) or self._of_recipe(ctx, key)

    def _given(self, ctx: click.Context, key: str) -> str:
        """`--KEY X`, `--KEY=X` or `--set KEY=X`; empty if there is none."""
        flag, found = f"--{key.replace('_', '-')}", ""
        words = ctx.meta.get(ARGUMENTS, ())
        for word, following in zip_longest(words, words[1:], fillvalue=""):
            name, given, value = word.partition("=")
            if name.replace("_", "-") == flag:
                found = value if given else following
            elif word == "--set" and following.startswith(f"{key}="):
                found = following.partition("=")[2]
        return found

    def _of_recipe(self, ctx: click.Context, key: str) -> str:
        """A text that a recipe on the command line gives to a key; empty where it is not one of this command's keys."""
        if not (recipe := self._given(ctx, "recipe")):
            return ""
        from omegaconf import OmegaConf

        from avssl.recipe_files import read_recipe, recipe_path

        recipe_path(recipe)  # there is one
        try:
            value = OmegaConf.select(read_recipe(recipe, self.config()), key)
        except ValueError:  # of another command's keys, or what this one will report
            return ""
        return value if isinstance(value, str) else ""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Fixed options, then a section for each section of the config."""
        _write_section(ctx, formatter, "Options", super().get_params(ctx))
        found = self.fields(ctx)
        for section in dict.fromkeys(each.field.section for each in found):
            title = f"Keys of {section}" if section else "Keys"
            _write_section(ctx, formatter, title, [each for each in found if each.field.section == section])


def _write_section(
    context: click.Context, formatter: click.HelpFormatter, title: str, params: Sequence[click.Parameter]
) -> None:
    rows = [row for each in params if (row := each.get_help_record(context)) is not None]
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows, col_max=32)


def field_texts(kind: type) -> dict[str, str]:
    """Field name -> its docstring as one line, of a dataclass and those that it inherits from."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if is_dataclass(each):
            found |= _own_texts(each.__module__, each.__qualname__)
    return found


def _own_texts(module: str, name: str) -> dict[str, str]:
    return next((_texts(node) for node in _classes(module) if node.name == name.rpartition(".")[2]), {})


@lru_cache
def _classes(module: str) -> tuple[ast.ClassDef, ...]:
    """Class definitions in the source of an imported module; none where there is no source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError, KeyError, SyntaxError):
        return ()
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def _texts(node: ast.ClassDef) -> dict[str, str]:
    """Name -> the string below it, of annotated assignments in a class body."""
    found = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[field.target.id] = " ".join(text.split())
    return found


def _default_of(kind: type, name: str) -> str:
    return str(next(_default(field) for field in fields(kind) if field.name == name))


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _value(field: Field[Any], hint: Any) -> str:
    """Name of a value in the help: its choices, else its type."""
    several = get_origin(hint) in (list, tuple)
    if known := choices(field, hint):
        return f"[{'|'.join(filter(None, known))}]" + (",..." if several else "")
    if several:
        return "[A,B,...]"
    if get_origin(hint) in (dict, Mapping):
        return "{KEY: VALUE}"
    plain = [PLAIN[each] for each in (hint, *get_args(hint)) if each in PLAIN]
    return plain[0] if plain else "VALUE"


def default_text(default: Any) -> str:
    """A default as the command line takes it; empty for one that the description explains."""
    if default is MISSING or default is None or default in ("", (), [], {}):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, (list, tuple)):
        return f"[{','.join(map(str, default))}]"
    return f"{default:.6g}" if isinstance(default, float) else str(default)


def _parameter(key: str) -> str:
    return "field_" + key.replace(".", "_").lower()
