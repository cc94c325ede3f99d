"""Activations → directions: `find_code`. The methods are scikit-learn's.

An answer has to be a function of the activations at one position, the same wherever it stands, and
with a gradient. The codes that a factorisation finds are none, so a weighted sum of the channels,
cut off below 0, learns them (`learn_code`): it correlates with them by .97 to .999, keeps them as
sparse, and explains as much of the variance (docs/directions.md). Ten unrolled steps of
non-negative least squares give the codes themselves, but no direction one could write down: this
way a dictionary that is found has the form of one in a file, and of a sparse autoencoder.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..records.dictionary import Code
from ..records.wanted import Method

Matrix = NDArray[np.float32]

LEARN = 'pip install "cnn-atlas[dictionary]"'
"""The command that installs scikit-learn."""

RIDGE = 1e-2
"""Of the linear map: weight of its length, over the mean square of a channel. With 1e-4 the encoder
of a layer of 1152 channels explained .150 of the variance on new images, with this .164."""

LEARNING_STEPS = 100
"""Of the encoder, from the linear map on; it has come to rest by then (measured)."""

SPARSITY = 0.05
"""Weight of the codes of semi-NMF, over the root mean square of the activations."""

STEPS = {"nmf": 200, "semi-nmf": 5}
"""Most iterations, of NMF in all and of semi-NMF over the positions."""

NONE_CUT, NEGATIVE_CUT = -np.inf, 0.0
"""Thresholds."""


def find_code(method: Method, activations: Matrix, directions: int, seed: int) -> Code:
    """Find directions of a layer.

    Args:
        method: one of `wanted.FITTED`.
        activations: (P, C) at some positions; of NMF none negative.
        directions: K, at most P, for PCA and NMF also at most C.
        seed: of all that is drawn.

    Raises:
        InputError: scikit-learn is not installed.
    """
    require_learn()
    finders = {"nmf": find_nmf, "semi-nmf": find_semi_nmf, "kmeans": find_kmeans, "pca": find_pca}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it might come a little further in more steps
        return finders[method](activations, directions, seed)


def require_learn() -> None:
    """Refuse to find directions where the library that can is missing.

    Raises:
        InputError: scikit-learn is not installed.
    """
    try:
        import sklearn  # noqa: F401 - one that is there may still be broken, which only this tells
    except ImportError as error:
        raise InputError(
            f"--dictionary: finding directions needs scikit-learn: {LEARN}; one in a file does not"
        ) from error


def find_pca(activations: Matrix, directions: int, seed: int) -> Code:
    """Principal components: signed answers, the largest variances first."""
    from sklearn.decomposition import PCA

    found: Any = PCA(directions, svd_solver="covariance_eigh").fit(activations)
    components, mean = as_matrix(found.components_), as_matrix(found.mean_)
    return make_code(components, components, -components @ mean, NONE_CUT, mean)


def find_nmf(activations: Matrix, directions: int, seed: int) -> Code:
    """Non-negative matrix factorisation: parts that only ever add up."""
    from sklearn.decomposition import NMF

    method: Any = NMF(directions, init="nndsvda", max_iter=STEPS["nmf"], random_state=seed)
    codes = as_matrix(method.fit_transform(activations))
    parts, codes = of_length_one(as_matrix(method.components_), codes)
    return learn_code(activations, codes, parts)


def find_semi_nmf(activations: Matrix, directions: int, seed: int) -> Code:
    """Semi-NMF: directions of any sign that only ever add up.

    Dictionary learning with positive codes is just that, with a weight on the codes, which keeps
    them few; scikit-learn has it, and keeps it. From the mean activation on, it explained no more
    (.32 for .31 of the variance) and found planted directions less well.

    Source: Ding, Li and Jordan 2010, Convex and Semi-Nonnegative Matrix Factorizations; Mairal et
    al. 2009, Online Dictionary Learning for Sparse Coding.
    """
    from sklearn.decomposition import MiniBatchDictionaryLearning

    scale = float(np.sqrt((activations.astype(np.float64) ** 2).sum(1).mean())) or 1.0
    method: Any = MiniBatchDictionaryLearning(
        directions,
        alpha=SPARSITY,
        positive_code=True,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        transform_alpha=SPARSITY,
        max_iter=STEPS["semi-nmf"],
        random_state=seed,
    )
    codes = as_matrix(method.fit_transform(activations / scale))
    parts, codes = of_length_one(as_matrix(method.components_), codes * scale)
    return learn_code(activations, codes, parts)


def find_kmeans(activations: Matrix, directions: int, seed: int) -> Code:
    """k-means: how much nearer a position is to a centre than to the centres on average.

    In squared distances that is max(0, mean_j ‖x − c_j‖² − ‖x − c_k‖²), in which ‖x‖² cancels: a
    linear map with a threshold at 0.

    Source: Coates, Lee and Ng 2011, An Analysis of Single-Layer Networks in Unsupervised Feature
    Learning, «triangle» activation, there in distances.
    """
    from sklearn.cluster import KMeans

    found: Any = KMeans(directions, n_init=2, random_state=seed).fit(activations)
    centres = as_matrix(found.cluster_centers_)
    squares = (centres**2).sum(1)
    encoder, bias = 2 * (centres - centres.mean(0)), squares.mean() - squares
    answers = np.maximum(activations @ encoder.T + bias, 0)
    decoder, offset = linear_map(answers, activations)
    return make_code(encoder, decoder, bias, NEGATIVE_CUT, offset)


# --- linear maps ----------------------------------------------------------------------------------


def learn_code(activations: Matrix, codes: Matrix, parts: Matrix) -> Code:
    """The code whose answers are closest to the codes that a method found, none of them negative.

    The linear map alone says a little everywhere, so that sparse codes become dense (active at .66
    of the positions for .29, EfficientNet-Lite0 blocks.5.3): steps from there on count what is cut
    off as nothing. They are steps down the gradient, with momentum; those of Adam are as large for
    a channel that is hardly ever on, and went far astray on new images there.

    Source: Nesterov 1983, by the weights of Beck and Teboulle 2009 (FISTA).
    """
    mean = activations.mean(0, dtype=np.float64).astype(np.float32)
    level = float(np.sqrt(((activations - mean) ** 2).mean(dtype=np.float64))) or 1.0
    levels = as_matrix(np.maximum(np.sqrt((codes**2).mean(0, dtype=np.float64)), 1e-30))
    inputs, wanted = (activations - mean) / np.float32(level), codes / levels
    slopes, start = rectified(inputs, wanted, linear_map(inputs, wanted))
    encoder = as_matrix((slopes * levels / level).T)
    bias = start * levels - encoder @ mean
    return make_code(encoder, parts, bias, NEGATIVE_CUT, np.zeros_like(mean))


def rectified(
    inputs: Matrix, wanted: Matrix, first: tuple[Matrix, Matrix]
) -> tuple[Matrix, Matrix]:
    """Weights and bias by which max(0, inputs · weights + bias) is closer to what is wanted.

    Args:
        inputs: (P, C), each of mean 0.
        wanted: (P, K).
        first: weights (C, K) and bias (K,) to begin with.
    """
    count = np.float32(len(inputs))
    steepest = float(np.linalg.eigvalsh(inputs.T @ inputs / count)[-1]) + 1
    old = ahead = as_matrix(np.vstack(first))
    speed = 1.0
    for _ in range(LEARNING_STEPS):
        answers = inputs @ ahead[:-1] + ahead[-1]
        missed = np.where(answers > 0, answers - wanted, np.float32(0)) / count
        slope = np.vstack([inputs.T @ missed, missed.sum(0)])
        new = as_matrix(ahead - slope / np.float32(steepest))
        faster = (1 + np.sqrt(1 + 4 * speed**2)) / 2
        ahead = as_matrix(new + (speed - 1) / faster * (new - old))
        old, speed = new, float(faster)
    return as_matrix(old[:-1]), as_matrix(old[-1])


def linear_map(inputs: Matrix, outputs: Matrix) -> tuple[Matrix, Matrix]:
    """(I, O) and (O,): the weights and the bias by which inputs (P, I) are closest to outputs."""
    wide, wanted = inputs.astype(np.float64), outputs.astype(np.float64)
    mean, level = wide.mean(0), wanted.mean(0)
    wide -= mean
    products = wide.T @ wide
    products[np.diag_indices_from(products)] += RIDGE * max(np.trace(products) / len(mean), 1e-30)
    weights = np.linalg.solve(products, wide.T @ (wanted - level))
    return as_matrix(weights), as_matrix(level - mean @ weights)


def of_length_one(parts: Matrix, codes: Matrix) -> tuple[Matrix, Matrix]:
    """Directions (K, C) of length 1, and the codes (P, K) that make up for it."""
    lengths = np.linalg.norm(parts, axis=1)
    return as_matrix(parts / np.where(lengths > 0, lengths, 1)[:, None]), as_matrix(codes * lengths)


def make_code(
    encoder: Matrix, decoder: Matrix, bias: Matrix, threshold: float, offset: Matrix
) -> Code:
    """A code in float32 with one threshold for all directions."""
    return Code(
        encoder=as_matrix(encoder),
        decoder=as_matrix(decoder),
        bias=as_matrix(bias),
        threshold=np.full(len(encoder), threshold, np.float32),
        offset=as_matrix(offset),
    )


def as_matrix(values: Any) -> Matrix:
    """Numbers in float32, row by row in memory."""
    return np.ascontiguousarray(values, np.float32)
