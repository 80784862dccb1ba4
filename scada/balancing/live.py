"""What a transformer's three phases do this second: imbalance, neutral current, loading. Pure and vectorised.

Phases are the last axis, in the order L1, L2, L3. Transformer meters deliver magnitudes and powers but no
angles between the phases, so the phase voltages are **assumed** to be a balanced set, 120 degrees apart in the
sequence L1-L2-L3. At a transformer's low-voltage terminals, where voltage unbalance is a per cent or two, this
moves the results little; far along a feeder it would not do. Harmonics are not in these figures: the third
adds in the neutral, which therefore carries more than the phasor sum where loads are electronic.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

THIRD_OF_TURN: Final = np.exp(2j * np.pi / 3)
NOMINAL_ANGLES: Final[NDArray[np.complex128]] = np.array([1.0, THIRD_OF_TURN**2, THIRD_OF_TURN])   # L2 follows L1


def current_phasors(
    current: NDArray[np.float64], active: NDArray[np.float64], reactive: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """
    Return current phasors from magnitudes and the angle between P and Q, against nominal voltage angles.

    Parameters
    ----------
    current : ndarray of float64, shape (..., 3)
        RMS current magnitudes. [A]
    active, reactive : ndarray of float64, shape (..., 3)
        Power per phase; positive P flows to the customer, positive Q is inductive. [W], [var]

    Returns
    -------
    phasors : ndarray of complex128, shape (..., 3)
        The phasor of L1's voltage lies at angle zero. A current that flows back (P < 0) is turned by half
        a turn; a magnitude without any power is taken as in phase. NaN where an input is NaN. [A]

    Raises
    ------
    ValueError
        If the last axis does not hold three phases.
    """
    _three_phases(current)
    lag = np.arctan2(reactive, active)
    return np.asarray(np.abs(current) * np.exp(-1j * lag) * NOMINAL_ANGLES)


def sequence_ratio(phasors: NDArray[np.complex128], floor: float | NDArray[np.float64] = 0.0) -> NDArray[np.float64]:
    """
    Return the negative- over the positive-sequence magnitude of three phasors.

    Parameters
    ----------
    phasors : ndarray of complex128, shape (..., 3)
        RMS phasors. [A]
    floor : float or ndarray broadcastable to (...)
        Positive-sequence magnitude at or below which there is no load to speak of. [A]

    Returns
    -------
    ratio : ndarray of float64, shape (...)
        I2/I1; 0 when balanced, 1 for a single-phase load. NaN where a phase is NaN or the positive
        sequence is not above the floor. [1]

    References
    ----------
    .. [1] I1 = (Ia + h Ib + h² Ic) / 3, I2 = (Ia + h² Ib + h Ic) / 3 with h = 1∠120°:
       electrical-engineering-portal.com/resources/knowledge/symmetrical-components (read 2026-11)
    """
    _three_phases(phasors)
    a = THIRD_OF_TURN
    positive = np.abs(phasors @ np.array([1, a, a**2])) / 3
    negative = np.abs(phasors @ np.array([1, a**2, a])) / 3
    return _ratio(negative, positive, floor)


def maximum_deviation(current: NDArray[np.float64], floor: float | NDArray[np.float64] = 0.0) -> NDArray[np.float64]:
    """
    Return the largest deviation of a phase current from the mean of the three, over that mean.

    Parameters
    ----------
    current : ndarray of float64, shape (..., 3)
        RMS current magnitudes. [A]
    floor : float or ndarray broadcastable to (...)
        Mean at or below which there is no load to speak of. [A]

    Returns
    -------
    deviation : ndarray of float64, shape (...)
        0 when the magnitudes are equal, 2 for a single-phase load. NaN where a phase is NaN or the mean is
        not above the floor. [1]

    Notes
    -----
    The form NEMA MG-1 gives for line voltages, applied to currents as is usual in the field; it needs no
    angles and therefore does not see a load that differs in angle only.

    References
    ----------
    .. [1] "100 times the absolute value of the maximum deviation ... from the average ..., divided by the
       average", quoted in eng-tips.com/threads/sequence-angles-imbalance.481112 (read 2026-11)
    """
    _three_phases(current)
    magnitude = np.abs(current)
    mean = magnitude.mean(axis=-1)
    return _ratio(np.abs(magnitude - mean[..., None]).max(axis=-1), mean, floor)


def neutral_current(phasors: NDArray[np.complex128]) -> NDArray[np.float64]:
    """
    Return the magnitude of the current that returns through the neutral (fundamental only).

    Parameters
    ----------
    phasors : ndarray of complex128, shape (..., 3)
        RMS phasors of the phase currents. [A]

    Returns
    -------
    current : ndarray of float64, shape (...)
        NaN where a phase is NaN. [A]

    References
    ----------
    .. [1] Ir = 3 I0 = Ia + Ib + Ic:
       electrical-engineering-portal.com/resources/knowledge/symmetrical-components (read 2026-11)
    """
    _three_phases(phasors)
    return np.asarray(np.abs(phasors.sum(axis=-1)))


def loading(apparent: NDArray[np.float64], rated: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Return the load of transformers as a share of their nameplate.

    Parameters
    ----------
    apparent : ndarray of float64, shape (..., 3)
        Apparent power per phase. [VA]
    rated : ndarray of float64, shape (...)
        Nameplate power of the three phases together. [VA]

    Returns
    -------
    loading : ndarray of float64, shape (...)
        Arithmetic sum of the phases over the nameplate: phases that lean differently do not relieve the
        windings, as a vector sum would pretend. NaN where a phase is NaN or the nameplate is not positive. [1]
    """
    _three_phases(apparent)
    return _ratio(np.abs(apparent).sum(axis=-1), np.asarray(rated, dtype=np.float64), 0.0)


def _ratio(
    part: NDArray[np.float64], whole: NDArray[np.float64], floor: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    enough = whole > floor
    return np.where(enough, part / np.where(enough, whole, 1.0), np.nan)


def _three_phases(array: NDArray[np.float64] | NDArray[np.complex128]) -> None:
    if array.ndim == 0 or array.shape[-1] != 3:
        raise ValueError(f"the last axis holds the three phases; found shape {array.shape}")
