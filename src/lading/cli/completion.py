"""`lading completion`: what a shell sources to complete our verbs and options."""

import click

from lading.cli.options import verb
from lading.cli.session import Session


@verb
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(session: Session, shell: str) -> None:
    """Print the completion script of a shell.

    bash: eval "$(lading completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc, after
    compinit. fish: lading completion fish > ~/.config/fish/completions/lading.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - for this verb only

    kind = get_completion_class(shell)
    program = click.get_current_context().find_root().command
    assert kind is not None
    script = kind(program, {}, "lading", "_LADING_COMPLETE")
    # Not `source()`: for bash, that starts one to ask for its version.
    click.echo(script.source_template % script.source_vars())
