"""The run's folder: a start that is refused leaves it as it was, a first run leaves none, and one run alone holds it.

ML-Agents makes folders, deletes TensorBoard's files of before and starts players, whose logs replace those of before,
ahead of every check; and whatever the reason, it saves all models on its way out. Here a behaviour *begins* with the
first step of the environment after it was accepted, together with all others that came up with it, or where there is
nothing left to train. Until then nothing of it is written; what is training when another one is refused is saved.

A run also holds its folder against a second one of the same name, which is refused before it starts a player.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial, wraps
from pathlib import Path
from typing import Any

from filelock import BaseFileLock
from mlagents.trainers import learn
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.stats import StatsReporter
from mlagents.trainers.trainer_controller import TrainerController
from mlagents_envs.exception import UnityException
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.run.checkpoint_files import set_former_aside
from mlagents_plugin_shared.run.files import LOCK, FolderCopy, FolderInUse, hold_folder, remove_unfinished
from mlagents_plugin_shared.run.host._command import replace_run_training

logger = get_logger(__name__)

_run_training = learn.run_training
_validate_existing_directories = learn.validate_existing_directories
_start_learning = TrainerController.start_learning
_register_new_behaviors = TrainerController._register_new_behaviors
_not_done_training = TrainerController._not_done_training
_add_property = StatsReporter.add_property


class Run:
    """The run of this process, from its first line to its last.

    Attributes:
        begun: names of the behaviours that have begun.

    Args:
        folder: `results/<run>`.
        trains: whether it trains; with `--inference` it holds no folder and writes to none, as it may act beside a run
            that trains.
        resumes: whether it goes on with what is in the folder.
    """

    def __init__(self, folder: Path, *, trains: bool, resumes: bool) -> None:
        self.folder = folder
        self.trains = trains
        self.resumes = resumes
        self.begun: set[str] = set()
        self._logs = folder / "run_logs"
        self._new_folders = [path for path in (self._logs, folder, *folder.parents) if not path.exists()]
        self._had_lock = (folder / LOCK).exists()
        self._former_logs: FolderCopy | None = None
        self._lock: BaseFileLock | None = None
        self._properties: list[tuple[str, Callable[[], None]]] = []

    # Before it begins

    def prepare(self) -> None:
        """Makes sure that no other run writes to the folder, and notes what players will write over.

        Raises:
            TrainerConfigError: another run trains there, or nothing can be written there.
        """
        self.hold()
        self.end()  # or the processes beside the players would inherit the lock, and keep it if they are left over
        self._former_logs = FolderCopy(self._logs)

    def hold(self) -> None:
        """Keeps the folder for this run, if it trains, to its end.

        Raises:
            TrainerConfigError: another run trains there, or nothing can be written there.
        """
        if not self.trains:
            return
        try:
            self._lock = hold_folder(self.folder)
        except (FolderInUse, OSError) as error:
            raise _refusal(self.folder, error) from error

    def put_off(self, behavior: str, write: Callable[[], None]) -> None:
        """Writes once the behaviour begins; now if it has."""
        if behavior in self.begun:
            write()
        else:
            self._properties.append((behavior, write))

    def undo(self, failure: BaseException | None) -> None:
        """Puts back what was written until now, unless that was another run's doing.

        Args:
            failure: what ended the start; None for Ctrl+C, of which ML-Agents makes a regular end.
        """
        if self._former_logs is None:
            return
        try:
            lock = self._lock or hold_folder(self.folder)
            if isinstance(failure, UnityException):
                _keep(self._former_logs.changed())
            self._former_logs.restore()
            lock.release(force=True)
            if not self._had_lock:
                (self.folder / LOCK).unlink(missing_ok=True)
            for path in filter(Path.exists, self._new_folders):
                path.rmdir()
        except FolderInUse:
            pass
        except OSError as error:  # on Windows a player that has just ended may still have its log open
            logger.warning(f"Nothing was trained; not all that was written to {self.folder} could be removed: {error}.")
            return
        logger.info(f"Nothing was trained, and nothing was written to {self.folder}.")

    # From then on

    def begin(self, behaviors: Iterable[str]) -> None:
        """From now on these behaviours are written."""
        new = set(behaviors) - self.begun
        if not new:
            return
        self.begun |= new
        self._former_logs = None
        if self.trains:
            self._clean([self.folder / behavior for behavior in new])
        due, self._properties = self._properties, []
        for behavior, write in due:
            self.put_off(behavior, write)

    def _clean(self, folders: list[Path]) -> None:
        """Removes from the folders of behaviours what runs of before left there that this one must not take up."""
        for folder in (self.folder, self._logs, *folders):
            remove_unfinished(folder)
        if not self.resumes:
            for folder in folders:
                set_former_aside(folder)

    def end(self) -> None:
        """Gives the folder back."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _refusal(folder: Path, error: FolderInUse | OSError) -> TrainerConfigError:
    if isinstance(error, FolderInUse):
        return TrainerConfigError(f"{error}; wait until that run has ended, or choose another --run-id.")
    return TrainerConfigError(not_writable(folder, error))


def not_writable(folder: str | Path, error: OSError) -> str:
    """What to say where nothing can be written to a folder.

    Args:
        folder: the folder.
        error: what the operating system said.
    """
    remedy = "make it writable, or choose another --results-dir"
    return f"nothing can be written to {folder}: {error.strerror}; {remedy}."


def _keep(logs: list[Path]) -> None:
    """Copies what a player wrote, which may say why it could not be started, to where it can be read."""
    if written := [file for file in logs if file.stat().st_size]:
        kept = Path(tempfile.mkdtemp(prefix="mlagents-"))
        copies = [str(shutil.copy2(file, kept)) for file in written]
        logger.info(f"What the player wrote is in {', '.join(copies)}.")


_run: Run | None = None


@contextlib.contextmanager
def _running(folder: Path, *, trains: bool, resumes: bool) -> Iterator[Run]:
    """The run of the block; that of the block around it, if there is one."""
    global _run
    if _run is not None:
        yield _run
        return
    _run = run = Run(folder, trains=trains, resumes=resumes)
    failure: BaseException | None = None
    try:
        yield run
    except BaseException as error:
        failure = error
        raise
    finally:
        _run = None
        if not run.begun:
            run.undo(failure)
        run.end()


def has_begun(behavior: str | None = None) -> bool:
    """Whether files of a behaviour, or any of the run, may be written; always where no run is known of.

    Args:
        behavior: its name; None for the run as a whole.
    """
    return _run is None or (bool(_run.begun) if behavior is None else behavior in _run.begun)


def _run_training_or_leave_no_trace(run_seed: int, options: Any, num_areas: int) -> None:
    settings = options.checkpoint_settings
    with _running(Path(settings.write_path), trains=not settings.inference, resumes=settings.resume):
        _run_training(run_seed, options, num_areas)


def _validate_and_prepare(*arguments: Any, **options: Any) -> None:
    _validate_existing_directories(*arguments, **options)
    if _run is not None:
        _run.prepare()


def _start_learning_or_leave_no_trace(controller: Any, env_manager: Any) -> None:
    is_whole_run = _run is None
    resumes = controller.trainer_factory.load_model
    with _running(Path(controller.output_path), trains=controller.train_model, resumes=resumes) as run:
        if is_whole_run:
            run.prepare()
        run.hold()
        try:
            _start_learning(controller, env_manager)
        finally:
            _stop_threads(controller)


def _stop_threads(controller: Any) -> None:
    """Those of `threaded` trainers, which ML-Agents leaves running after most errors, into the end of the process."""
    controller.kill_trainers = True
    for thread in controller.trainer_threads:
        if thread.is_alive():
            thread.join(timeout=1.0)


def _register_and_begin(controller: Any, env_manager: Any, step_infos: Any) -> None:
    is_reset = step_infos is env_manager.first_step_infos
    _register_new_behaviors(controller, env_manager, step_infos)
    if _run is not None and not is_reset:
        _run.begin(controller.trainers)


def _not_done_or_begin(controller: Any) -> bool:
    goes_on = _not_done_training(controller)
    if _run is not None and not goes_on:  # a run that is resumed at its end exports its models
        _run.begin(controller.trainers)
    return goes_on


def _add_property_once_begun(reporter: Any, property_type: Any, value: Any) -> None:
    add = partial(_add_property, reporter, property_type, value)
    if _run is None:
        add()
    else:
        _run.put_off(reporter.category, add)


def _once_begun(write: Callable[..., None]) -> Callable[..., None]:
    @wraps(write)
    def write_once_begun(*arguments: Any) -> None:
        if has_begun() and (_run is None or _run.trains):
            write(*arguments)

    return write_once_begun


replace_run_training(_run_training_or_leave_no_trace)
learn.validate_existing_directories = _validate_and_prepare
learn.write_run_options = _once_begun(learn.write_run_options)
learn.write_timing_tree = _once_begun(learn.write_timing_tree)
learn.write_training_status = _once_begun(learn.write_training_status)
TrainerController.start_learning = _start_learning_or_leave_no_trace
TrainerController._register_new_behaviors = _register_and_begin
TrainerController._not_done_training = _not_done_or_begin
StatsReporter.add_property = _add_property_once_begun
