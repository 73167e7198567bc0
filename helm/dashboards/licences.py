"""The dashboard Licences: keys and seats, who waits, what is refused, and the store that counts them."""

from __future__ import annotations

from typing import Any

from board import BLUE, GREEN, RED, YELLOW, Panel, Query, dashboard, variable

WHERE = 'cluster=~"$cluster", namespace=~"$namespace"'
POOL = WHERE + ', license=~"$license"'
DAY = 86400.0


def seats(what: str) -> str:
    """A gauge of the pools, which every licensor reports alike, summed over the pools that are shown."""
    return f"sum(max by (license) (engenho_license_{what}{{{POOL}}}))"


def quantile(q: float, metric: str, by: str = "license", where: str = POOL) -> str:
    return f"histogram_quantile({q}, sum by ({by}, le) (rate({metric}_bucket{{{where}}}[$__rate_interval])))"


RATIO = f"max by (license) (engenho_license_in_use{{{POOL}}}) / max by (license) (engenho_license_limit{{{POOL}}})"

NOW = [
    Panel("Seats in use", "Held seats as a share of the limit, in the pool that is fullest.", "stat", "percentunit",
          (Query(f"max({RATIO})"),), 4, 4, ((GREEN, None), (YELLOW, 0.9), (RED, 1.0))),
    Panel("Waiting", "Requests in the waiting lines.", "stat", "short", (Query(seats("waiting")),), 4, 4, ((GREEN, None), (YELLOW, 1.0))),
    Panel("Refused in an hour", "Requests that were told that the licence is used up.", "stat", "short",
          (Query(f'sum(increase(engenho_license_requests_total{{{POOL}, outcome="refused"}}[1h]))'),), 4, 4,
          ((GREEN, None), (RED, 1.0)), decimals=0),
    Panel("Processors", "Registered processors, and how many product keys there are.", "stat", "short",
          (Query(f"max(engenho_license_keys_in_use{{{WHERE}}})", "registered"), Query(f"max(engenho_license_keys{{{WHERE}}})", "keys")), 4, 4),
    Panel("Licence ends in", "Until the licence that ends first ends, without its days of grace.", "stat", "s",
          (Query(f"min(engenho_license_expiration_timestamp_seconds{{{WHERE}}}) - time()"),), 4, 4,
          ((RED, None), (YELLOW, 3 * DAY), (GREEN, 14 * DAY))),
    Panel("Edition", "The edition that counts.", "stat", "short",
          (Query(f"max by (mode) (engenho_license_mode{{{WHERE}}}) == 1", "{{mode}}"),), 4, 4, ((BLUE, None),)),
]

USE = [
    Panel("Seats", "Held, freed with life left (the next request takes those first), and free; the line is the limit.", "timeseries",
          "short", (Query(seats("in_use"), "in use"), Query(seats("queued"), "to be re-used"),
                    Query(f"{seats('available')} - {seats('queued')}", "free"), Query(seats("limit"), "limit")),
          stacked=True, line_of="limit"),
    Panel("Share in use by pool", "Held seats as a share of the pool's limit.", "timeseries", "percentunit",
          (Query(RATIO, "{{license}}"),), steps=((GREEN, None), (YELLOW, 0.9), (RED, 1.0))),
    Panel("Peak", "Most seats held at once since the store began, and the limit.", "timeseries", "short",
          (Query(f"max by (license) (engenho_license_peak_in_use{{{POOL}}})", "{{license}} peak"),
           Query(f"max by (license) (engenho_license_limit{{{POOL}}})", "{{license}} limit"))),
    Panel("Fullest in each hour", "Most seats held at once in the hour before each moment, as a share of the limit: when a pool is short of seats. "
          "The console's page Licences has the same by day and hour, from closed minutes.", "state-timeline", "percentunit",
          (Query(f"max by (license) (max_over_time(engenho_license_in_use{{{POOL}}}[1h])) / max by (license) (engenho_license_limit{{{POOL}}})",
                 "{{license}}"),), steps=((GREEN, None), (YELLOW, 0.8), (RED, 1.0)), decimals=0),
    Panel("Seats in use, how often", "Over the time shown: for how many samples so many seats were held.", "histogram", "short",
          (Query(f"max by (license) (engenho_license_in_use{{{POOL}}})", "{{license}}"),)),
]

REQUESTS = [
    Panel("Answers", "Answers to requests for seats: granted, re-used, waived, escalated, refused, notified, error.", "timeseries",
          "reqps", (Query(f"sum by (outcome) (rate(engenho_license_requests_total{{{POOL}}}[$__rate_interval]))", "{{outcome}}"),),
          stacked=True),
    Panel("Refused by pool", "Requests that were told that the pool is used up.", "timeseries", "reqps",
          (Query(f'sum by (license) (rate(engenho_license_requests_total{{{POOL}, outcome="refused"}}[$__rate_interval]))', "{{license}}"),)),
    Panel("Escalated", "Seats that a later pool of a chain gave because those before it were full.", "timeseries", "reqps",
          (Query(f"sum by (from, to) (rate(engenho_license_escalations_total{{{WHERE}}}[$__rate_interval]))", "{{from}} → {{to}}"),)),
    Panel("Waiting for a seat", "From a place in the waiting line to the seat.", "timeseries", "s",
          (Query(quantile(0.5, "engenho_license_wait_seconds"), "{{license}} p50"),
           Query(quantile(0.95, "engenho_license_wait_seconds"), "{{license}} p95"))),
    Panel("Holding a seat", "From a seat's grant to its release.", "timeseries", "s",
          (Query(quantile(0.5, "engenho_license_hold_seconds"), "{{license}} p50"),
           Query(quantile(0.95, "engenho_license_hold_seconds"), "{{license}} p95"))),
    Panel("Requests waiting", "Length of the waiting lines.", "timeseries", "short",
          (Query(f"max by (license) (engenho_license_waiting{{{POOL}}})", "{{license}}"),)),
    Panel("Answering a request", "From a request's arrival to its answer.", "timeseries", "s",
          (Query(quantile(0.5, "engenho_license_request_duration_seconds"), "{{license}} p50"),
           Query(quantile(0.99, "engenho_license_request_duration_seconds"), "{{license}} p99"))),
]

GRANTED = f"increase(engenho_usage_seats_granted_total{{{POOL}}}[1h])"
HOLDERS = [
    Panel("Seats granted in an hour, by holder", "The twenty productions that were granted most seats, from closed minutes; what they hold now "
          "is on the console's page Licences.", "table", "short",
          (Query(f"topk(20, sum by (license, processor, production) ({GRANTED}))", instant=True, table=True),), steps=((BLUE, None),), decimals=0),
    Panel("Seats granted in an hour, by processor", "From closed minutes.", "timeseries", "short",
          (Query(f"sum by (license, processor) ({GRANTED})", "{{license}} {{processor}}"),)),
    Panel("Usage not collected for", "Since a producer last fetched closed minutes; they wait in the licensor's store for 25 hours.", "stat", "s",
          (Query(f"time() - max(engenho_usage_last_success_timestamp_seconds{{{WHERE}}})"),), 6, 4,
          ((GREEN, None), (YELLOW, 3600.0), (RED, 12 * 3600.0))),
    Panel("Usage records in an hour", "Records that were put on the topic usage.", "stat", "short",
          (Query(f"sum(increase(engenho_usage_records_total{{{WHERE}}}[1h]))"),), 6, 4, ((BLUE, None),), decimals=0),
]

PLATFORM = [
    Panel("Registrations", "Registrations of processors, by what became of them.", "timeseries", "cpm",
          (Query(f"60 * sum by (outcome) (rate(engenho_license_registrations_total{{{WHERE}}}[$__rate_interval]))", "{{outcome}}"),)),
    Panel("Seats taken from the dead", "Seats that were freed because their holder's lease was over.", "timeseries", "short",
          (Query(f"sum by (license) (increase(engenho_license_orphans_reclaimed_total{{{POOL}}}[$__rate_interval]))", "{{license}}"),)),
    Panel("Redis", "Whether each licensor can use it, and whether seats are being recovered after lost writes.", "timeseries", "bool_on_off",
          (Query(f"min by (instance) (engenho_redis_up{{{WHERE}}})", "{{instance}} up"),
           Query(f"max(engenho_license_recovering{{{WHERE}}})", "recovering"))),
    Panel("Answers of Redis", "From a transition's submission to the answer, 99 in 100.", "timeseries", "s",
          (Query(quantile(0.99, "engenho_redis_command_duration_seconds", "command", WHERE), "{{command}} p99"),)),
    Panel("Trouble with Redis", "Transitions without an answer, and connections made anew.", "timeseries", "cpm",
          (Query(f"60 * sum(rate(engenho_redis_errors_total{{{WHERE}}}[$__rate_interval]))", "errors"),
           Query(f"60 * sum(rate(engenho_redis_reconnects_total{{{WHERE}}}[$__rate_interval]))", "connections"))),
    Panel("Clients", "Open connections of workers and producers.", "timeseries", "short",
          (Query(f"sum by (instance) (engenho_licensor_connections{{{WHERE}}})", "{{instance}}"),)),
]


def build() -> dict[str, Any]:
    source = "engenho_license_limit"
    return dashboard(
        "engenho-licences", "Engenho / Licences", "Keys and seats: what is used, who waits, what is refused.",
        [variable("cluster", source), variable("namespace", source), variable("license", source, title="pool")],
        [("Now", NOW), ("Use", USE), ("Requests", REQUESTS), ("Holders", HOLDERS), ("Processors and store", PLATFORM)], [])
