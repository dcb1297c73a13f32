"""What `linbench profiles` answers: each size of run and what it costs."""

from typing import Any

from harness.data.catalog import catalog
from harness.data.entries import entry_for
from harness.estimates import Cost, cost, hours
from harness.machine import gpu_names
from harness.profiles import Profile, load_profile, profile_names, resolve
from sandbox.figures import duration
from sandbox.report import Facts, Heading, Paragraph, Report, Table


def profiles_report() -> Report:
    """All profiles, the smallest first."""
    gpus = gpu_names()
    profiles = sorted((load_profile(name) for name in profile_names()), key=lambda found: _cost(found).flops)
    columns = ("profile", "parameters", "tokens", "FLOPs", "memory", "GPUs", "hours here", "data")
    rows = tuple(_row(profile, gpus) for profile in profiles)
    here = f"GPUs here: {', '.join(gpus)}." if gpus else "This machine has no GPU."
    data = {"gpus": gpus, "profiles": [_facts(profile, gpus) for profile in profiles]}
    blocks = (
        Heading("Profiles"),
        Table(columns, rows, frozenset(columns[1:-1])),
        Paragraph(f"{here} Figures are those of the untouched script; memory is one GPU's."),
        Facts((("next", "linbench profiles NAME"),)),
    )
    return Report(data, blocks)


def profile_report(name: str) -> Report:
    """One profile in full. Raises harness.profiles.ProfileError for an unknown one."""
    profile, gpus = load_profile(name), gpu_names()
    found, prepared = _facts(profile, gpus), _prepared(profile.data)
    settings = {**profile.model, **profile.training}
    blocks = (
        Heading(f"{profile.name}: {profile.about}"),
        Facts(
            (
                ("parameters", f"{found['parameters']:,}"),
                ("tokens", f"{found['tokens']:,}"),
                ("FLOPs", f"{found['flops']:.3g}"),
                ("memory", f"about {found['memory_bytes'] / 2**30:.1f} GiB on each GPU"),
                ("runs on", ", ".join(profile.devices)),
                ("GPUs", f"{profile.gpus} in the published setting"),
                ("time here", _time(found["hours"])),
                ("data", f"{profile.data}, {'prepared' if prepared else 'not prepared'}"),
                ("metrics", ", ".join(profile.metrics)),
                *((key, str(value)) for key, value in settings.items()),
            )
        ),
        Facts(_next(profile, prepared)),
    )
    return Report({**found, "settings": settings, "prepared": prepared}, blocks)


def _next(profile: Profile, prepared: bool) -> tuple[tuple[str, str], ...]:
    if not prepared:
        source = "" if entry_for(profile.data) else " --source FOLDER"
        return (("next", f"linbench data prepare {profile.data}{source}"),)
    return (("next", f"linbench test --profile {profile.name}"),)


def _prepared(name: str) -> bool:
    return name == "pydocs" or any(row.name == name and row.prepared for row in catalog())


def _cost(profile: Profile) -> Cost:
    return cost(resolve(profile, seed=0, device=profile.devices[0]))


def _facts(profile: Profile, gpus: list[str]) -> dict[str, Any]:
    config = resolve(profile, seed=0, device=profile.devices[0])
    spent = cost(config)
    return {
        "profile": profile.name,
        "about": profile.about,
        "parameters": spent.parameters,
        "tokens": spent.tokens,
        "flops": spent.flops,
        "memory_bytes": spent.memory_bytes,
        "gpus": profile.gpus,
        "hours": hours(config, gpus),
        "data": profile.data,
        "devices": list(profile.devices),
        "metrics": list(profile.metrics),
    }


def _row(profile: Profile, gpus: list[str]) -> tuple[str, ...]:
    found = _facts(profile, gpus)
    return (
        profile.name,
        f"{found['parameters'] / 1e6:,.1f} M",
        f"{found['tokens'] / 1e6:,.0f} M",
        f"{found['flops']:.1e}",
        f"{found['memory_bytes'] / 2**30:.1f} GiB",
        str(profile.gpus),
        _time(found["hours"]),
        profile.data,
    )


def _time(hours_here: float | None) -> str:
    return "-" if hours_here is None else duration(hours_here * 3600)
