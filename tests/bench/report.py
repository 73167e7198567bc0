"""How figures are printed: sections and aligned rows."""

from __future__ import annotations


def section(title: str) -> None:
    print(f"\n{title}", flush=True)


def row(name: str, *cells: str) -> None:
    print(f"  {name:<44}" + "".join(f"{cell:>20}" for cell in cells), flush=True)
