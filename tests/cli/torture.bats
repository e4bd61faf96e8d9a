#!/usr/bin/env bats
# A slice of `make torture`, another one each time: tests/torture/torture says how to repeat it by its seed.

@test "calls that fail, crashes and power cuts, for half a minute" {
    if ldd "$LIFEBOAT" | grep -qE 'lib[at]san'; then skip "a sanitizer that is a library of its own and a preloaded one do not go together"; fi
    run env TORTURE_SECONDS="${TORTURE_SECONDS:-32}" TORTURE_POINTS=0 TORTURE_DATABASE=no TORTURE_JOBS=2 /usr/bin/python3 "$TESTS/torture/torture"
    grep -E '^torture: (seed|FAILED)' <<<"$output" || tail <<<"$output" # shown when it failed
    [ "$status" = 0 ]
    grep -E '^torture: [0-9]+ calls failed once, [0-9]+ crash points .*, 0 failures$' <<<"$output"
}
