/* Sharing and collecting garbage without locks: the protocol of docs/format.md, section 11, for spin.
 *
 * What is modelled: one chunk, x. A pack goes only when none of its chunks is needed, so chunks do not help each other
 * to be lost: one stands for all. Every pack here holds x, every snapshot needs x. Backups (Writer) and prunes (Pruner)
 * run for ever, as many as NW and NR at once; each may be cut off before any step and begins anew, remembering nothing.
 *
 * Time passes in ticks between any two steps. What is old enough for every rule does not age further, so the states
 * are finite. A listing may lack what came, and may show what went, less than LAG ticks ago. All steps of one
 * process between its last look at the clock and its commit take at most GAP ticks, unless SUSPEND is set.
 *
 * A name is used again only when nobody remembers it: that makes a finite model of names that never return. With
 * -DRETURNING they do return: a copy to a mirror or a repair puts a pack back once no mark names it.
 *
 * The guards: -DWITHOUT_... takes one out, and the search must find a snapshot that cannot be read (tests/model/run).
 */
#ifndef NW
#define NW 1 /* backups at a time */
#endif
#ifndef NR
#define NR 1 /* prunes at a time */
#endif
#ifndef NP
#define NP 3 /* packs at a time */
#endif
#ifndef NS
#define NS 1 /* snapshots at a time */
#endif
#ifndef NF
#define NF 1 /* hosts that forget at a time, with -DFORGETTING */
#endif
#ifndef LAG
#define LAG 1
#endif
#ifndef VIEW
#define VIEW 1 /* the age up to which a view is committed on */
#endif
#ifndef GAP
#define GAP 1
#endif
#if LAG > 0
#define LEAST_GRACE (VIEW + GAP + 2 * LAG - 1) /* less fails; VIEW + GAP + 2 LAG < GRACE is on the safe side */
#else
#define LEAST_GRACE (VIEW + GAP + 1)
#endif
#ifndef GRACE
#define GRACE LEAST_GRACE
#endif
#ifndef UNDO
#define UNDO 1 /* the undo window; an undo begins GAP before its end at the latest */
#endif
#ifdef WITHOUT_WAIT
#define DEAD UNDO
#else
#define DEAD (UNDO + VIEW) /* a snapshot forgotten for so long is dead for prunes */
#endif
#ifdef WITHOUT_STORE_CLOCK
#define AHEAD 1 /* the prune's own clock is ahead by this */
#else
#define AHEAD 0
#endif

#if defined(RETURNING) && !defined(WITHOUT_GRACE_AFTER_SWEEP)
#define REST_OF_MARK GRACE /* a condemn mark stays this long after its pack was seen to be gone */
#else
#define REST_OF_MARK LAG
#endif

#define BIT(n) (1 << (n))

/* ---- the store ---- */
byte pack[NP];      /* 0: a name that was never used; 1: there; 2: deleted */
byte moved[NP];     /* ticks since it came or went, at most LAG */
byte mark[NP];      /* condemned: 1 + ticks since, at most 1 + GRACE; 0: no mark */
byte swept[NP];     /* seen to be gone: 1 + ticks since, at most 1 + REST_OF_MARK; 0: no such mark */
bit snap[NS];       /* there */
bit trusted[NS];    /* its backup reported it as taken */
byte put_ago[NS];   /* ticks since it came, at most LAG */
byte forgot[NS];    /* the last forget mark: 1 + ticks since, at most 1 + DEAD; 0: there is none */
bit undone[NS];     /* an undo mark, once (more show nothing new), */
byte undone_ago[NS];
bit overruled[NS];  /* which that forget mark does not name */

/* ---- what a process remembers while others move ---- */
bit has[NW];        /* backup: its view, or its upload, has a pack with x that it may rely on */
byte view_marks[NW];
byte view_age[NW];  /* at most VIEW + GAP + 1 */
bit checked[NW];    /* between the last look and the commit, */
byte since[NW];     /* for so many ticks */
byte marks[NR], old[NR], noted[NR], gone[NR], packs[NR], home[NR], dead[NR];
bit live[NR];
#ifdef RETURNING
byte fresh[NR];     /* prune: names that came back since it began, */
byte run_age[NR];   /* which was so many ticks ago, at most VIEW + GAP + 1 */
#endif
bit undoing;
byte undoing_for;

byte a, b, c; /* for one step; 0 between steps, so they add no states */
/* First in steps that would begin with a choice (spin would take its `else` for one of the choice around it) or with
 * something local (spin would then take the whole step for one that no other process sees). */
bit begun;
#ifdef COLLECTING
#define WHILE_BEGUN provided (begun)
#else
#define WHILE_BEGUN
#endif

#define FORGOTTEN(s, age) (forgot[s] && !overruled[s] && forgot[s] - 1 >= (age))
#define WANTED(s) (snap[s] && trusted[s] && !FORGOTTEN(s, UNDO))

/* Whoever reported a snapshot that is still wanted can read it. */
inline readable()
{
	b = 0;
	c = 0;
	for (a : 0 .. NP - 1) {
		if
		:: pack[a] == 1 -> b = 1
		:: else
		fi
	}
	for (a : 0 .. NS - 1) {
		if
		:: WANTED(a) -> c = 1
		:: else
		fi
	}
	assert(!c || b);
	a = 0;
	b = 0;
	c = 0
}

/* A deleted pack of which no mark, no late listing and no process knows leaves its place to a new name. */
inline free_names()
{
	for (a : 0 .. NP - 1) {
		if
		:: pack[a] == 2 && mark[a] == 0 && swept[a] == 0 && moved[a] == LAG ->
			c = 0;
			for (b : 0 .. NR - 1) {
				if
				:: (marks[b] | old[b] | noted[b] | gone[b] | packs[b]) & BIT(a) -> c = 1
				:: else
				fi
			}
			if
			:: c == 0 -> pack[a] = 0; moved[a] = 0
			:: else
			fi
		:: else
		fi
	}
	a = 0;
	b = 0;
	c = 0
}

/* `name`: of a new pack; NP: there is no room in this model now. */
inline new_pack(name)
{
	free_names();
	name = 0;
	do
	:: name < NP && pack[name] != 0 -> name++
	:: else -> break
	od;
	if
	:: name < NP -> pack[name] = 1; moved[name] = 0
	:: else
	fi
}

/* ---- listings: each is one step here; an answer that came page by page only lags more ---- */
inline list_marks(all, aged, seen, went)
{
	all = 0;
	aged = 0;
	seen = 0;
	went = 0;
	for (i : 0 .. NP - 1) {
		if
		:: mark[i] ->
			all = all | BIT(i);
			if
			:: mark[i] - 1 + AHEAD >= GRACE -> aged = aged | BIT(i)
			:: else
			fi;
			if
			:: swept[i] -> seen = seen | BIT(i)
			:: swept[i] && swept[i] - 1 < LAG /* not listed yet */
			:: swept[i] == 0
			fi;
			if
			:: swept[i] > REST_OF_MARK -> went = went | BIT(i)
			:: else
			fi
		:: mark[i] && mark[i] - 1 < LAG /* not listed yet */
		:: mark[i] == 0
		fi
	}
	i = 0
}

inline list_packs(all)
{
	all = 0;
	for (i : 0 .. NP - 1) {
		if
		:: pack[i] == 1 -> all = all | BIT(i)
		:: pack[i] == 1 && moved[i] < LAG                       /* not listed yet */
		:: pack[i] == 2 && moved[i] < LAG -> all = all | BIT(i) /* listed still */
		:: pack[i] != 1
		fi
	}
	i = 0
}

inline list_snapshots(some_live, all_dead)
{
	some_live = 0;
	all_dead = 0;
	for (i : 0 .. NS - 1) {
		if
		:: snap[i] && !FORGOTTEN(i, DEAD) -> some_live = 1
		:: snap[i] && FORGOTTEN(i, DEAD) -> all_dead = all_dead | BIT(i)
		:: snap[i] && put_ago[i] < LAG /* not listed yet */
#ifdef FORGETTING
		:: snap[i] && overruled[i] && undone_ago[i] < LAG && forgot[i] - 1 >= DEAD ->
			all_dead = all_dead | BIT(i) /* the undo is not listed yet */
#endif
		:: !snap[i]
		fi
	}
	i = 0
}

/* ---- time ---- */
#if NW > 1
#define IN_TIME ((!checked[0] || since[0] < GAP) && (!checked[1] || since[1] < GAP))
#else
#define IN_TIME (!checked[0] || since[0] < GAP)
#endif
#ifdef SUSPEND
#define MAY_PASS true
#else
#define MAY_PASS (IN_TIME && (!undoing || undoing_for < GAP))
#endif
inline older(age, most)
{
	if
	:: age < most -> age++
	:: else
	fi
}

active proctype Time() WHILE_BEGUN
{
	byte i;
	begun;
	do
	:: d_step {
		MAY_PASS -> printf("a tick\n");
		for (i : 0 .. NP - 1) {
			if
			:: pack[i] -> older(moved[i], LAG)
			:: else
			fi;
			if
			:: mark[i] && pack[i] == 2 && moved[i] == LAG -> mark[i] = 1 + GRACE /* its age says nothing any more */
			:: mark[i] && !(pack[i] == 2 && moved[i] == LAG) -> older(mark[i], 1 + GRACE)
			:: else
			fi;
			if
			:: swept[i] -> older(swept[i], 1 + REST_OF_MARK)
			:: else
			fi
		}
		for (i : 0 .. NS - 1) {
			if
			:: snap[i] ->
				older(put_ago[i], LAG);
				if
				:: undone[i] -> older(undone_ago[i], LAG)
				:: else
				fi;
				if
				:: forgot[i] -> older(forgot[i], 1 + DEAD)
				:: else
				fi
			:: else
			fi
		}
#ifdef RETURNING
		for (i : 0 .. NR - 1) {
			older(run_age[i], VIEW + GAP + 1)
		}
#endif
		for (i : 0 .. NW - 1) {
			older(view_age[i], VIEW + GAP + 1);
#ifndef SUSPEND
			if
			:: checked[i] -> since[i]++
			:: else
			fi
#endif
		}
#ifndef SUSPEND
		if
		:: undoing -> undoing_for++
		:: else
		fi;
#endif
		i = 0
	}
#ifndef FORGETTING
	/* Forgotten, dead and deleted in one: more than the protocol allows. */
	:: d_step {
		snap[0] && trusted[0] -> snap[0] = 0; trusted[0] = 0; put_ago[0] = 0; printf("the snapshot is dropped\n")
	}
#endif
	od
}

/* ---- a backup ---- */
#define BEGIN has[me] = 0; view_marks[me] = 0; view_age[me] = VIEW + GAP + 1; checked[me] = 0; since[me] = 0; i = 0; n = 0; m = 0
#ifdef WITHOUT_CONDEMNED
#define CLEAN(listed, condemned) (listed)
#else
#define CLEAN(listed, condemned) ((listed) & ~(condemned))
#endif

active [NW] proctype Writer() WHILE_BEGUN
{
	byte me = _pid - 1, i, n, m;
	d_step { begun -> BEGIN }
again:
#ifdef WITHOUT_MARKS_FIRST
	atomic { view_age[me] = 0; list_packs(view_marks[me]) }
	atomic {
		begun; list_marks(m, n, n, n);
		has[me] = (CLEAN(view_marks[me], m)) != 0;
		view_marks[me] = 0; m = 0; n = 0; i = 0
	}
#else
	/* W1: the marks first, then the packs */
	atomic {
		view_age[me] = 0; list_marks(view_marks[me], n, n, n); n = 0;
		printf("W%d lists marks: %d\n", me, view_marks[me])
	}
	/* W2: what may be relied on */
	atomic {
		begun; list_packs(n);
		has[me] = (CLEAN(n, view_marks[me])) != 0;
		printf("W%d lists packs: %d\n", me, n);
		view_marks[me] = 0; n = 0
	}
#endif
	/* W3, W4: a new pack with its index, where there is nothing to rely on */
	if
	:: has[me]
	:: !has[me] -> atomic {
		new_pack(n);
		if
		:: n == NP -> BEGIN; goto again
		:: else
		fi;
		printf("W%d puts pack %d\n", me, n);
		has[me] = 1; n = 0
	}
#ifdef WITHOUT_NEW_NAMES
	/* puts a deleted pack back under its name */
	:: !has[me] -> atomic {
		do
		:: n < NP && pack[n] != 2 -> n++
		:: else -> break
		od;
		if
		:: n == NP -> BEGIN; goto again
		:: else
		fi;
		pack[n] = 1; moved[n] = 0; printf("W%d puts pack %d back\n", me, n);
		has[me] = 1; n = 0
	}
#endif
	fi;
	if
	:: atomic { begun -> BEGIN; goto again } /* killed */
	:: atomic {
		begun;
		/* W5: an old view is taken anew; what fell out of it is stored again */
#ifndef WITHOUT_VIEW_AGE
		if
		:: view_age[me] > VIEW -> BEGIN; goto again
		:: else
		fi;
#endif
		checked[me] = 1; printf("W%d checks\n", me);
#ifndef SUSPEND
		view_age[me] = VIEW + GAP + 1 /* nobody asks again */
#endif
	}
	fi;
	if
	:: atomic { begun -> BEGIN; goto again } /* killed */
	:: atomic {
		begun;
		/* W6: the commit */
		do
		:: n < NS && snap[n] -> n++
		:: else -> break
		od;
		if
		:: n == NS -> BEGIN; goto again
		:: else
		fi;
		snap[n] = 1; put_ago[n] = 0;
		printf("W%d commits\n", me);
		/* W7: the second look. The snapshot that came too late is not reported, and goes. */
#if defined(SUSPEND) && !defined(WITHOUT_SECOND_LOOK)
		if
		:: view_age[me] > VIEW + GAP -> snap[n] = 0; BEGIN; goto again
		:: else
		fi;
#endif
		trusted[n] = 1;
		readable(); BEGIN; goto again
	}
	fi
}

/* ---- a prune ---- */
#ifdef RETURNING
#define STARTS fresh[me] = 0; run_age[me] = 0
#define ENDS fresh[me] = 0; run_age[me] = VIEW + GAP + 1
#else
#define STARTS skip
#define ENDS skip
#endif
#if defined(RETURNING) && !defined(WITHOUT_END_OF_PRUNE)
#define TOO_LATE \
	if \
	:: run_age[me] > VIEW + GAP -> REST; goto again \
	:: else \
	fi
#else
#define TOO_LATE skip
#endif
#define REST ENDS; marks[me] = 0; old[me] = 0; noted[me] = 0; gone[me] = 0; packs[me] = 0; home[me] = 0; dead[me] = 0; live[me] = 0; i = 0; n = 0; free_names()
#define NEW_HOME 255
inline lowest(set)
{
	i = 0;
	do
	:: (set) & BIT(i) -> break
	:: else -> i++
	od
}

active [NR] proctype Pruner() WHILE_BEGUN
{
	byte me = _pid - 1 - NW, i, n, x;
	begun;
again:
#if defined(WITHOUT_SNAPSHOTS_AFTER_MARKS)
	atomic { REST; list_snapshots(live[me], dead[me]) }
	atomic { list_marks(marks[me], old[me], noted[me], gone[me]) }
	atomic { list_packs(packs[me]);
#elif defined(WITHOUT_PACKS_LAST)
	atomic { REST; list_packs(packs[me]) }
	atomic { list_marks(marks[me], old[me], noted[me], gone[me]) }
	atomic { list_snapshots(live[me], dead[me]);
#elif defined(WITHOUT_MARKS_FIRST_IN_PRUNE)
	atomic { REST; list_packs(packs[me]) }
	atomic { list_snapshots(live[me], dead[me]) }
	atomic { list_marks(marks[me], old[me], noted[me], gone[me]);
#else
	/* P1 marks with their ages, P2 snapshots, P3 packs */
	atomic { REST; STARTS; list_marks(marks[me], old[me], noted[me], gone[me]); printf("P%d lists marks: %d, past the grace %d, gone %d\n", me, marks[me], old[me], gone[me]) }
	atomic { list_snapshots(live[me], dead[me]); printf("P%d lists snapshots: needed %d, dead %d\n", me, live[me], dead[me]) }
	atomic { list_packs(packs[me]); printf("P%d lists packs: %d\n", me, packs[me]);
#endif
		/* P4: a home for x: any clean pack, or a new one. Which clean one is a choice: another chunk of it may decide. */
		x = packs[me] & ~marks[me];
#ifdef WITHOUT_CLEAN_HOME
		x = packs[me];
#endif
		if
		:: !live[me]
		:: live[me] && x ->
			lowest(x); home[me] = BIT(i)
		:: live[me] && x & (x - 1) -> /* another of them */
			lowest(x & (x - 1)); home[me] = BIT(i)
		:: live[me] && packs[me] -> home[me] = NEW_HOME
		:: live[me] && packs[me] == 0 -> x = 0; REST; goto again /* nothing to copy: it stops */
		fi;
		x = 0; i = 0
	}
	if
	:: home[me] == NEW_HOME -> atomic {
		home[me] = 0;
		for (i : 0 .. NP - 1) {
			if
			:: (packs[me] & BIT(i)) && pack[i] == 1 -> x = 1
			:: else
			fi
		}
#ifdef WITHOUT_MARKS_FOR_GOOD
		/* takes the marks of the packs that are needed away, instead of copying */
		if
		:: x && (packs[me] & ~marks[me]) == 0 ->
			for (i : 0 .. NP - 1) {
				if
				:: packs[me] & BIT(i) -> mark[i] = 0; printf("P%d takes mark %d back\n", me, i)
				:: else
				fi
			}
			x = 0
		:: else
		fi;
#endif
		if
		:: x == 0 -> REST; goto again /* what it would copy is gone: it stops */
		:: else
		fi;
		x = 0;
		new_pack(n);
		if
		:: n == NP -> REST; goto again
		:: else
		fi;
		home[me] = BIT(n); printf("P%d copies x to pack %d\n", me, n);
		n = 0; i = 0
	}
	:: else
	fi;
	/* What is to be done. From here: marks = to condemn, old = to delete, packs = to note as swept, gone = marks to remove. */
	d_step {
		x = packs[me];
		n = marks[me];
		marks[me] = x & ~n & ~home[me];
#ifdef WITHOUT_AGE_BEFORE_SWEPT
		packs[me] = n & ~x & ~noted[me];
#else
		packs[me] = n & old[me] & ~x & ~noted[me]; /* a pack that is not listed may be too new; not one so long condemned */
#endif
#ifdef WITHOUT_GRACE_READ_FIRST
		/* the ages are looked at when it comes to deleting */
		old[me] = x & ~home[me];
#else
		old[me] = x & old[me] & ~home[me];
#endif
#if defined(RETURNING) && !defined(WITHOUT_AGE_OF_PACK)
		old[me] = old[me] & ~fresh[me]; /* younger than its mark: not the one that was condemned */
#endif
		gone[me] = gone[me] & ~x;
		noted[me] = 0; home[me] = 0; live[me] = 0; x = 0; n = 0
	}
	/* P5 to P8, as far as it gets */
	do
	:: atomic { marks[me] ->
		lowest(marks[me]);
		if
		:: pack[i] == 1 && mark[i] == 0 ->
			mark[i] = 1; printf("P%d condemns %d\n", me, i);
#ifdef RETURNING
			for (n : 0 .. NR - 1) {
				gone[n] = gone[n] & ~BIT(i) /* what others would remove was another mark */
			}
			n = 0
#endif
		:: else
		fi;
		marks[me] = marks[me] & ~BIT(i); i = 0
	}
	:: atomic { old[me] ->
		TOO_LATE;
		lowest(old[me]);
#ifdef WITHOUT_GRACE_READ_FIRST
		if
		:: mark[i] - 1 >= GRACE && mark[i]
		:: else -> old[me] = old[me] & ~BIT(i); i = 0; goto skipped
		fi;
#endif
#ifdef WITHOUT_MARK_OUTLIVING_PACK
		/* the mark goes first, and then it may be killed */
		mark[i] = 0; swept[i] = 0;
		if
		:: REST; goto again
		:: true
		fi;
#endif
		if
		:: pack[i] == 1 -> pack[i] = 2; moved[i] = 0; printf("P%d deletes %d\n", me, i)
		:: else
		fi;
#ifdef WITHOUT_LAG_BEFORE_TIDYING
		mark[i] = 0; swept[i] = 0;
#endif
		old[me] = old[me] & ~BIT(i); i = 0;
		readable()
#ifdef WITHOUT_GRACE_READ_FIRST
		skipped: skip
#endif
	}
	:: atomic { packs[me] ->
		TOO_LATE;
		lowest(packs[me]);
		if
		:: mark[i] && swept[i] == 0 -> swept[i] = 1; printf("P%d notes %d as swept\n", me, i)
		:: else
		fi;
		packs[me] = packs[me] & ~BIT(i); i = 0
	}
	:: atomic { gone[me] ->
		lowest(gone[me]);
		mark[i] = 0; swept[i] = 0; printf("P%d removes mark %d\n", me, i);
		gone[me] = gone[me] & ~BIT(i); i = 0
	}
#ifdef FORGETTING
	:: atomic { dead[me] ->
		/* only ever one that nobody may want back */
		lowest(dead[me]);
		assert(!WANTED(i));
		snap[i] = 0; trusted[i] = 0; put_ago[i] = 0; forgot[i] = 0; undone[i] = 0; undone_ago[i] = 0; overruled[i] = 0;
		for (n : 0 .. NR - 1) {
			dead[n] = dead[n] & ~BIT(i)
		}
		printf("P%d deletes snapshot %d\n", me, i); i = 0; n = 0
	}
#endif
	:: atomic { begun -> REST; goto again } /* done, or killed */
	od
}

/* ---- names that come back ---- */
#ifdef RETURNING
active proctype Copy() WHILE_BEGUN
{
	byte i;
	begun;
	do
	:: atomic { pack[0] == 2 && mark[0] == 0 && swept[0] == 0 -> i = 0; goto back }
	:: atomic { pack[1] == 2 && mark[1] == 0 && swept[1] == 0 -> i = 1;
back:
		pack[i] = 1; moved[i] = 0;
		printf("a copy puts pack %d back\n", i);
		for (a : 0 .. NR - 1) {
			fresh[a] = fresh[a] | BIT(i)
		}
		a = 0; i = 0
	}
	od
}
#endif

/* ---- forgetting and undoing ---- */
#ifdef FORGETTING
#define STANDS(s) (forgot[s] && !overruled[s])
active [NF] proctype Forget() WHILE_BEGUN
{
	bit seen;
	begun;
	do
	:: atomic { snap[0] && trusted[0] && !STANDS(0) -> seen = undone[0] } /* which undos there are */
	   atomic {
		if
		:: snap[0] && trusted[0] && !STANDS(0) ->
#ifdef WITHOUT_SEEN_UNDOS
			overruled[0] = 0;
#else
			overruled[0] = undone[0] && !seen;
#endif
			assert(seen || !undone[0] || overruled[0]); /* nobody overrules an undo that he had not seen */
			forgot[0] = 1; printf("forget\n")
		:: else
		fi;
		seen = 0
	   }
	od
}

active proctype Undo() WHILE_BEGUN
{
	begun;
	do
	:: atomic { snap[0] && STANDS(0) && !undone[0] && forgot[0] - 1 + GAP <= UNDO -> undoing = 1; undoing_for = 0 }
	   atomic {
		if
		:: snap[0] && STANDS(0) ->
			undone[0] = 1; undone_ago[0] = 0; overruled[0] = 1; printf("undo\n");
			readable()
		:: else
		fi;
		undoing = 0; undoing_for = 0
	   }
	od
}
#endif

/* ---- in the end ---- */
#ifdef COLLECTING
/* One prune that nothing disturbs; then time passes. */
inline prune_alone()
{
	condemned = 0;
	listed = 0;
	aged = 0;
	went = 0;
	for (i : 0 .. NP - 1) {
		listed = listed | ((pack[i] == 1) << i);
		condemned = condemned | ((mark[i] != 0) << i);
		aged = aged | ((mark[i] > GRACE) << i);
		went = went | ((mark[i] && swept[i] > REST_OF_MARK) << i)
	}
	x = NP;
	if
	:: snap[0] && (listed & ~condemned) ->
		x = 0;
		do
		:: listed & ~condemned & BIT(x) -> break
		:: else -> x++
		od
#ifdef WITHOUT_RESCUE
	/* leaves a condemned pack that is needed as it is */
	:: snap[0] && (listed & ~condemned) == 0 ->
		x = 0;
		do
		:: listed & BIT(x) -> break
		:: else -> x++
		od
#else
	:: snap[0] && (listed & ~condemned) == 0 ->
		/* a copy under a new name; where this model has no room for one, in the place of a pack that it replaces */
		new_pack(x);
		if
		:: x == NP ->
			x = 0;
			do
			:: listed & BIT(x) -> break
			:: else -> x++
			od;
			mark[x] = 0; swept[x] = 0
		:: else
		fi;
		listed = listed & ~BIT(x)
#endif
	:: !snap[0]
	fi;
	for (i : 0 .. NP - 1) {
		if
		:: i != x && (listed & ~condemned & BIT(i)) -> mark[i] = 1
		:: i != x && (listed & aged & BIT(i)) -> pack[i] = 2
		:: i != x && (aged & ~listed & ~went & BIT(i)) -> swept[i] = 1
		:: i != x && (went & BIT(i)) -> mark[i] = 0; swept[i] = 0
		:: else
		fi
	}
	for (i : 0 .. NP - 1) {
		mark[i] = (mark[i] -> 1 + GRACE : 0);
		swept[i] = (swept[i] -> 1 + REST_OF_MARK : 0);
		moved[i] = LAG
	}
	i = 0;
	x = 0
}

/* Whatever happened, and wherever everybody was killed: prunes of one host alone leave what is needed, once, and nothing else. */
active proctype Last()
{
	byte i, x, listed, condemned, aged, went;
	d_step {
		begun -> begun = 0;
		/* nobody remembers anything */
		for (i : 0 .. NR - 1) {
			marks[i] = 0; old[i] = 0; noted[i] = 0; gone[i] = 0; packs[i] = 0
		}
		for (i : 0 .. NP - 1) {
			mark[i] = (mark[i] -> 1 + GRACE : 0)
		}
		prune_alone(); prune_alone(); prune_alone(); prune_alone(); prune_alone(); prune_alone();
		for (i : 0 .. NP - 1) {
			x = x + (pack[i] == 1);
			assert(mark[i] == 0 && swept[i] == 0)
		}
		assert(x == snap[0])
	}
}
#endif

init
{
	d_step { pack[0] = 1; moved[0] = LAG; snap[0] = 1; put_ago[0] = LAG; trusted[0] = 1; begun = 1 }
}
