"""A node remembers terms beside its database: no restore sets a term back, no start forgets a fence (R18)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.availability.conftest import may_make_databases, node
from tests.failover.conftest import Pairs

from ringfence.availability import cluster
from ringfence.availability.backup import BackupOptions, create_backup
from ringfence.availability.cluster import Cluster
from ringfence.availability.node_term import NodeTerm
from ringfence.availability.restore import RestoreOptions, restore_backup
from ringfence.availability.shelf import KeptBackup
from ringfence.availability.term import Term
from ringfence.database.connection import Database
from ringfence.mediation.channels import Channels
from ringfence.mediation.membership import Membership
from ringfence.settings import Settings

__all__ = ["may_make_databases", "node"]  # fixtures
NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)


def read(database: Database) -> Cluster:
    with database.connection(even_if_fenced=True) as connection:
        return cluster.ensure_cluster(connection)


def take_next(database: Database, known: Cluster) -> Term:
    with database.connection(even_if_fenced=True) as connection:
        return cluster.take_term(connection, known.next_term(), "test").term


def set_back(database: Database, epoch: int) -> None:
    """As the restore of an older database by other means than ours does."""
    with database.connection(even_if_fenced=True) as connection:
        connection.execute(
            "UPDATE setting SET value = value || jsonb_build_object('epoch', %s::int, 'fenced_by', null) "
            "WHERE key = 'cluster'",
            (epoch,),
        )


def loaded(database: Database, data: Path) -> Membership:
    membership = Membership(database, Channels(database), data=data)
    membership.load()
    return membership


def test_a_restore_does_not_set_the_term_back(node: Settings, database: Database) -> None:
    """Neither the term that the pair had taken, nor the fence that it was behind."""
    first = read(database)
    kept = create_backup(node, BackupOptions(("database",)), NOW)
    own = take_next(database, first)
    loaded(database, node.data)
    database.close()
    restored = restored_from(node, kept)
    assert (restored.term, restored.is_fenced) == (own, False)

    again = Database(str(node.database.url), pool_size=2)
    another = restored.next_term()
    loaded(again, node.data).meet(str(another))
    again.close()
    restored = restored_from(node, kept)
    assert (restored.term, restored.fenced_by, restored.is_fenced) == (first.term, another, True)


def restored_from(node: Settings, kept: KeptBackup) -> Cluster:
    restore_backup(node, kept, RestoreOptions(), NOW)
    database = Database(str(node.database.url), pool_size=2)
    try:
        return read(database)
    finally:
        database.close()


def test_a_fence_that_was_told_while_the_database_was_away_counts_from_the_start(pairs: Pairs, tmp_path: Path) -> None:
    NodeTerm(tmp_path).meet(pairs.raise_new())
    membership = loaded(pairs.old, tmp_path)
    assert membership.is_fenced
    assert pairs.term_of(pairs.old).is_fenced, "kept"


def test_a_database_that_was_set_back_by_other_means_takes_the_nodes_term_again(pairs: Pairs, tmp_path: Path) -> None:
    term = pairs.raise_new()
    assert loaded(pairs.new, tmp_path).term == term
    set_back(pairs.new, 1)
    membership = loaded(pairs.new, tmp_path)
    assert (membership.term, membership.is_fenced) == (term, False)


def test_what_nobody_of_the_cluster_made_is_remembered_for_nothing(pairs: Pairs, tmp_path: Path) -> None:
    own = pairs.term_of(pairs.old)
    NodeTerm(tmp_path).meet(Term(own.term.cluster, 9, own.term.holder, own.term.proof))
    NodeTerm(tmp_path).meet(Term.sealed("ef" * 16, 9, "0" * 16, b"another"))
    membership = loaded(pairs.old, tmp_path)
    assert not membership.is_fenced
    assert NodeTerm(tmp_path).highest_of(own) == own.term
