"""Floor of --help: the smallest program with Typer and rich."""

import typer

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def hello(name: str = typer.Option("world", help="Whom to greet.")) -> None:
    """Greet."""
    typer.echo(f"Hello {name}")


app()
