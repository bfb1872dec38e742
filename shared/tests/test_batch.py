import numpy as np
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.trajectory import ObsUtil

from mlagents_plugin_shared.data import Batch

DONE, MASKS, MEMORY = BufferKey.DONE, BufferKey.MASKS, BufferKey.MEMORY


def lazy_batch(loaded):
    def load(key):
        loaded.append(key)
        return np.arange(3)

    return Batch({DONE: np.zeros(3)}, lazy=[MASKS], load=load, num_experiences=3)


def test_batch_lazy_column_is_loaded_once():
    """The first reading loads a lazy column, later ones give the same array."""
    loaded = []
    batch = lazy_batch(loaded)
    assert batch[MASKS] is batch[MASKS]
    assert loaded == [MASKS]


def test_batch_keys_tell_the_truth_without_loading():
    """`in`, iteration and length count lazy columns, and load none."""
    loaded = []
    batch = lazy_batch(loaded)
    assert MASKS in batch
    assert list(batch) == [MASKS, DONE]
    assert len(batch) == 2
    assert batch.num_experiences == 3
    assert loaded == []


def test_batch_copies_and_items_load():
    """Whoever takes all items gets arrays, never placeholders."""
    copied = dict(lazy_batch([]))
    assert copied[MASKS].tolist() == [0, 1, 2]
    assert {**lazy_batch([])}[MASKS].tolist() == [0, 1, 2]


def test_batch_missing_key_gives_an_empty_array():
    """A missing column reads as empty, as in AgentBuffer, but is not added by reading."""
    batch = Batch({DONE: np.zeros(3)})
    assert len(batch[MEMORY]) == 0
    assert MEMORY not in batch
    assert batch.get(MEMORY) is None


def test_batch_assignment_replaces_a_lazy_column():
    """An assigned column is what is read from then on; nothing is loaded for it."""
    loaded = []
    batch = lazy_batch(loaded)
    batch[MASKS] = np.ones(3)
    assert batch[MASKS].tolist() == [1, 1, 1]
    assert loaded == []


def test_batch_deleted_column_is_gone():
    """A lazy column can be removed before it was loaded."""
    batch = lazy_batch([])
    del batch[MASKS]
    assert MASKS not in batch
    assert len(batch[MASKS]) == 0


def test_batch_observations_update_normalization():
    """Observations have the method by which ML-Agents' networks read them; other columns are plain arrays."""
    batch = Batch({ObsUtil.get_name_at(0): np.zeros((3, 4)), DONE: np.zeros(3)})
    assert type(batch[ObsUtil.get_name_at(0)].to_ndarray()) is np.ndarray
    assert np.shares_memory(batch[ObsUtil.get_name_at(0)].to_ndarray(), batch[ObsUtil.get_name_at(0)])
    assert type(batch[DONE]) is np.ndarray


def test_batch_num_experiences_is_the_length_of_the_first_column():
    """Without a stated length the first column gives it; an empty batch has none."""
    assert Batch({DONE: np.zeros(5)}).num_experiences == 5
    assert Batch().num_experiences == 0
