/* Merging indexes without locks: the second half of docs/format.md, section 11, for spin.
 *
 * What an index says of a pack is true for as long as the pack is there, so one thing alone can go wrong: that what some
 * index said is said no more. Here backups add packs and indexes (Writer), packs fall out of use (Disuse), prunes merge
 * all indexes into one, delete superseded ones and unused packs (Merger), and with -DREADING one more process loads
 * the indexes (Reader). A listing goes name by name, so it may miss what comes behind it. Each process may be cut off
 * before any step. A name is used again only when nobody remembers it.
 *
 * The guards: -DWITHOUT_... takes one out, and the search must find an index entry that is lost (tests/model/run).
 */
#ifndef NI
#define NI 3 /* indexes at a time */
#endif
#ifndef NP
#define NP 1 /* packs at a time */
#endif
#ifndef NM
#define NM 2 /* mergers at a time */
#endif
#define LISTING 1 /* ticks that a listing may take; reading what was listed may take for ever */

#define BIT(n) (1 << (n))

byte there, indexed, unused; /* packs: in the store; named by an index once; not needed, for good */
byte index;                  /* indexes: in the store, */
byte holds[NI];              /* the packs that it names, */
byte over[NI];               /* the indexes that it supersedes */
byte age[NI];                /* ticks, at most LISTING + 1 */
byte listed[NM], got[NM], old[NM], doomed[NM];
byte reader_listed, reader_got, wanted, reading;
byte a, b; /* for one step; 0 between steps */
bit begun; /* as in garbage.pml */

#ifdef WITHOUT_WAIT
#define LONG_ENOUGH(k) true
#elif defined(READING)
#define LONG_ENOUGH(k) (age[k] > LISTING)
#else
#define LONG_ENOUGH(k) true /* without a reader time does not matter */
#endif

inline superseded(set)
{
	set = 0;
	for (a : 0 .. NI - 1) {
		if
		:: index & BIT(a) -> set = set | over[a]
		:: else
		fi
	}
	a = 0
}

/* Every pack in use that an index named once is named by one that counts. */
inline complete()
{
	superseded(b);
	for (a : 0 .. NI - 1) {
		if
		:: (index & ~b) & BIT(a) -> b = b | (holds[a] << 4) /* the upper half: packs */
		:: else
		fi
	}
	assert((there & indexed & ~unused & ~(b >> 4)) == 0);
	a = 0;
	b = 0
}

inline new_index(k)
{
	b = index | reader_listed;
	for (a : 0 .. NM - 1) {
		b = b | listed[a] | old[a]
	}
	k = 0;
	do
	:: k < NI && (b & BIT(k)) -> k++
	:: else -> break
	od;
	for (a : 0 .. NI - 1) {
		over[a] = over[a] & ~BIT(k)
	}
	a = 0;
	b = 0
}

inline new_pack(p)
{
	b = there | reader_got | wanted;
	for (a : 0 .. NM - 1) {
		b = b | got[a] | doomed[a]
	}
	for (a : 0 .. NI - 1) {
		if
		:: index & BIT(a) -> b = b | holds[a]
		:: else
		fi
	}
	p = 0;
	do
	:: p < NP && (b & BIT(p)) -> p++
	:: else -> break
	od;
	a = 0;
	b = 0
}

active proctype Writer()
{
	byte p, k;
	begun;
	do
	:: atomic {
		begun; new_pack(p);
		if
		:: p < NP ->
			there = there | BIT(p);
			indexed = indexed & ~BIT(p);
			unused = unused & ~BIT(p)
		:: else
		fi
	   }
	   if
	   :: p == NP || begun -> p = 0 /* killed: a pack without an index */
	   :: atomic {
		p < NP && (there & BIT(p)) ->
		new_index(k);
		if
		:: k < NI ->
			index = index | BIT(k);
			holds[k] = BIT(p);
			over[k] = 0;
			age[k] = 0;
			indexed = indexed | BIT(p);
			complete()
		:: else
		fi;
		p = 0;
		k = 0
	   }
	   fi
	od
}

active proctype Disuse()
{
	byte p;
	begun;
	do
	:: atomic {
		begun; select(p : 0 .. NP - 1);
		unused = unused | (there & BIT(p));
		p = 0
	}
	od
}

active [NM] proctype Merger()
{
	byte me = _pid - 2, i, packs;
	begun;
again:
	atomic { listed[me] = 0; got[me] = 0; old[me] = 0; doomed[me] = 0; i = 0; packs = 0 }
#ifdef WITHOUT_PACKS_LAST
	atomic { begun; packs = there }
#endif
	do
	:: atomic { begun && i < NI -> listed[me] = listed[me] | (index & BIT(i)); i++ }
	:: atomic { begun && i == NI -> i = 0; break }
	od;
	do
	:: atomic { (listed[me] & BIT(i)) && i < NI ->
		if
		:: index & BIT(i) ->
			got[me] = got[me] | holds[i];
			if
			:: LONG_ENOUGH(i) -> old[me] = old[me] | over[i]
			:: else
			fi
		:: (index & BIT(i)) == 0 -> goto again /* gone meanwhile: list again */
		:: begun -> goto again                 /* cannot be read: give up */
#ifdef WITHOUT_GIVING_UP
		:: begun /* cannot be read: go on without */
#endif
		fi;
		i++
	}
	:: atomic { !(listed[me] & BIT(i)) && i < NI -> i++ }
	:: atomic { begun && i == NI -> i = 0; break }
	od;
	atomic {
		begun;
#ifndef WITHOUT_PACKS_LAST
		packs = there;
#endif
		old[me] = old[me] & listed[me];
		doomed[me] = got[me] & unused
	}
	if
	:: atomic {
		listed[me] ->
		new_index(i);
		if
		:: i == NI -> goto again
		:: else
		fi;
		holds[i] = got[me] & packs & ~doomed[me];
#ifdef WITHOUT_NAMING_WHAT_WAS_READ
		over[i] = index; /* whatever is there by now */
#else
		over[i] = listed[me];
#endif
		index = index | BIT(i);
		age[i] = 0;
		complete();
		i = 0; packs = 0; listed[me] = 0; got[me] = 0
	}
	:: atomic { begun -> i = 0; packs = 0; listed[me] = 0; got[me] = 0 } /* nothing to merge */
	fi;
	do
	:: atomic { old[me] ->
		do
		:: old[me] & BIT(i) -> break
		:: else -> i++
		od;
		old[me] = old[me] & ~BIT(i);
		index = index & ~BIT(i);
		holds[i] = 0;
		over[i] = 0;
		age[i] = 0;
		complete(); i = 0
	}
	:: atomic { doomed[me] -> there = there & ~(doomed[me] & unused); doomed[me] = 0 }
	:: atomic { begun -> goto again }
	od
}

#ifdef READING
active proctype Time()
{
	byte i;
	begun;
	do
	:: atomic { reading <= LISTING ->
		for (i : 0 .. NI - 1) {
			if
			:: (index & BIT(i)) && age[i] <= LISTING -> age[i]++
			:: else
			fi
		}
		i = 0;
		reading = (reading -> reading + 1 : 0)
	}
	od
}

/* A backup or restore that loads the indexes: what was needed and known when it began, it knows. */
active proctype Reader()
{
	byte i;
	begun;
again:
	atomic { i = 0; reader_listed = 0; reader_got = 0; reading = 1; wanted = there & indexed & ~unused }
	do
	:: atomic { begun && i < NI -> reader_listed = reader_listed | (index & BIT(i)); i++ }
	:: atomic { begun && i == NI -> i = 0; reading = 0; break }
	od;
	do
	:: atomic { (reader_listed & BIT(i)) && i < NI ->
		if
		:: index & BIT(i) -> reader_got = reader_got | holds[i]
		:: else ->
#ifndef WITHOUT_LISTING_AGAIN
			goto again
#endif
		fi;
		i++
	}
	:: atomic { !(reader_listed & BIT(i)) && i < NI -> i++ }
	:: atomic { begun && i == NI -> i = 0; break }
	od;
	atomic {
		wanted = wanted & there & ~unused;
		assert((wanted & ~reader_got) == 0);
		goto again
	}
}
#endif

init
{
	d_step { there = 1; indexed = 1; index = 1; holds[0] = 1; age[0] = LISTING + 1; begun = 1 }
}
