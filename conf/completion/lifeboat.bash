# shellcheck shell=bash
# Completion of lifeboat for bash. Commands, options and their values are asked of `lifeboat help`; sources and mirrors of the
# configuration, snapshots of a store that is a folder. What cannot be had is not offered, and nothing is said of it.

_lifeboat_help() { # PROGRAM [WORD...]
    "$1" help "${@:2}" 2>/dev/null </dev/null
}

# _lifeboat_titles CONFIG KIND: the names in [KIND NAME].
_lifeboat_titles() {
    sed -nE "s/^[[:space:]]*\[$2 +([A-Za-z0-9_.-]+)\].*/\1/p" "$1" 2>/dev/null
}

# _lifeboat_snapshots PROGRAM CONFIG: newest first.
_lifeboat_snapshots() {
    echo latest
    _lifeboat_titles "$2" source | sed 's/^/latest:/'
    sed -nE 's/^[[:space:]]*url *= *//p' "$2" 2>/dev/null | sed 1q | grep -q ^file: || return 0
    timeout 3 "$1" -c "$2" --json list 2>/dev/null </dev/null | grep -oE '"id":"[0-9a-f]{8}' | cut -c 7- | tac
}

# _lifeboat_values PROGRAM CONFIG KIND: what may stand for SNAP, SOURCE and so on.
_lifeboat_values() {
    case $3 in
    SNAP) _lifeboat_snapshots "$1" "$2" ;;
    SOURCE) _lifeboat_titles "$2" source ;;
    STORE) _lifeboat_titles "$2" store ;;
    FORMAT) printf '%s\n' text json ;;
    esac
}

# _lifeboat_argument AT: what the first line of a help on standard input wants there:
# lifeboat restore SNAP [SOURCE...] --to TARGET - bring sources back
_lifeboat_argument() {
    local -a kinds
    local at=$1
    read -ra kinds < <(sed -nE '1{ s/ - .*//; s/ --?[^ ]*.*//; s/^[^A-Z]*//; s/[][]//g; p; }')
    ((${#kinds[@]})) || return 0
    if ((at >= ${#kinds[@]})) && [[ ${kinds[-1]} == *... ]]; then at=$((${#kinds[@]} - 1)); fi
    kinds[at]=${kinds[at]-}
    kinds[at]=${kinds[at]%...}
    echo "${kinds[at]%%/*}"
}

_lifeboat() {
    local program=${COMP_WORDS[0]} config=${LIFEBOAT_CONFIG:-/etc/lifeboat/lifeboat.conf} raw=${COMP_WORDS[COMP_CWORD]}
    local words=() word glue='' cur i commands help command='' waits='' kind='' at=0 offered=''
    # bash takes latest:db and --at=TIME apart.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((${#words[@]})) && [[ $word == [:=] || $glue ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        if [[ $word == [:=] ]]; then glue=1; else glue=''; fi
    done
    cur=${words[-1]}
    if [[ $raw == [:=] ]]; then raw=''; fi
    help=$(_lifeboat_help "$program")
    commands=$(sed -nE '/^  lifeboat/d; s/^  ([a-z]+( [a-z]+)?)( .*|$)/\1/p' <<<"$help")

    # What stands before: the command, how many arguments it has, an option that waits for its value.
    for word in "${words[@]:0:${#words[@]}-1}"; do
        if [[ $waits ]]; then
            [[ $waits != -c && $waits != --config ]] || config=$word
            waits='' kind=''
        elif [[ $word =~ ^--?[a-z-]*[a-z]$ ]]; then
            kind=$(sed -nE "s/^  (.*, |    )?$word(, --[a-z-]+)? ([A-Z]+) .*/\3/p" <<<"$help" | head -n 1)
            waits=${kind:+$word}
        elif [[ $word == -* ]]; then
            [[ $word != --config=* ]] || config=${word#*=}
        elif [[ -z $command ]] || grep -qxF -- "$command $word" <<<"$commands"; then
            command=${command:+$command }$word
            # shellcheck disable=SC2086 # "key add" is two words
            help=$(_lifeboat_help "$program" $command)
        else
            at=$((at + 1))
        fi
    done

    if [[ $waits ]]; then
        :
    elif [[ $cur == -* ]]; then
        offered=$(sed -nE 's/^  (-[a-z], |    )(--[a-z-]+).*/\2/p' <<<"$help")
    elif [[ -z $command || ($command == help && $at == 0) ]]; then
        offered=$(cut -d ' ' -f 1 <<<"$commands" | uniq)
    elif [[ $command == help ]]; then
        offered=$(sed -n "s/^${words[-2]} //p" <<<"$commands")
    elif ! grep -qxF -- "$command" <<<"$commands"; then
        offered=$(sed -n "s/^$command //p" <<<"$commands")
    else
        kind=$(_lifeboat_argument "$at" <<<"$help")
    fi
    case $kind in
    FILE | DIR | TARGET | ARGUMENT)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    COMMAND) offered=$(compgen -c -- "$cur") ;;
    ?*) offered=$(_lifeboat_values "$program" "$config" "$kind") ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$cur")
    COMPREPLY=("${COMPREPLY[@]#"${cur%"$raw"}"}")
}
complete -o nosort -F _lifeboat lifeboat
