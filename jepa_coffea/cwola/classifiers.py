"""Ready classifiers of window against sidebands; any scikit-learn classifier that takes ``sample_weight`` will do."""

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from jepa_coffea.errors import JepaCoffeaError

Floats = npt.NDArray[Any]


class ClassifierError(JepaCoffeaError, ValueError):
    """A classifier that cannot be used here, or that learned nothing at all."""


class GradientBoosting(HistGradientBoostingClassifier):
    """scikit-learn's histogram gradient boosting with features binned beforehand, several times faster on wide data.

    With sample weights scikit-learn computes weighted quantiles bin by bin and feature by feature, which takes longer
    than the trees. The bins here are plain quantiles of each feature (a choice of where cuts may lie, not of what is
    fitted); the trees, losses and weights are scikit-learn's.
    """

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> "GradientBoosting":
        """Fit the bins and the trees.

        Parameters
        ----------
        X
            (events, features).
        y
            Labels, (events,).
        sample_weight
            (events,); 1 by default.

        Returns
        -------
        GradientBoosting
        """
        levels = np.linspace(0, 1, min(self.max_bins, 255) + 1)[1:-1]
        self.bin_edges_ = np.quantile(np.asarray(X, np.float32), levels, axis=0).T.astype(np.float32)
        super().fit(self._binned(X), y, sample_weight)
        return self

    def _binned(self, X: Floats) -> npt.NDArray[np.float32]:
        X = np.asarray(X, np.float32)
        columns = [np.searchsorted(edges, column) for edges, column in zip(self.bin_edges_, X.T, strict=True)]
        return np.stack(columns, axis=1).astype(np.float32)

    def predict_proba(self, X: Floats) -> Floats:
        """Probabilities of the classes.

        Parameters
        ----------
        X
            (events, features).

        Returns
        -------
        array of float, (events, 2)
        """
        return super().predict_proba(self._binned(X))

    def predict(self, X: Floats) -> Floats:
        """The likelier class.

        Parameters
        ----------
        X
            (events, features).

        Returns
        -------
        array, (events,)
        """
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class MLP(MLPClassifier):
    """scikit-learn's perceptron for a fixed number of epochs: reaching ``max_iter`` is the plan, not a warning."""

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> "MLP":
        """Fit for ``max_iter`` epochs.

        Parameters
        ----------
        X
            (events, features).
        y
            Labels, (events,).
        sample_weight
            (events,); 1 by default.

        Returns
        -------
        MLP
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations", ConvergenceWarning)
            super().fit(X, y, sample_weight)
        return self


class WeightedPipeline(Pipeline):
    """A pipeline that hands ``sample_weight`` to its last step."""

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> "WeightedPipeline":
        """Fit all steps.

        Parameters
        ----------
        X
            (events, features).
        y
            Labels, (events,).
        sample_weight
            For the classifier at the end, (events,); 1 by default.

        Returns
        -------
        WeightedPipeline
        """
        super().fit(X, y, **{f"{self.steps[-1][0]}__sample_weight": sample_weight})
        return self


def gradient_boosting(**options: Any) -> GradientBoosting:
    """Boosted trees: 60 trees of 8 leaves, 63 bins, no early stopping.

    In dijets with 100 or 200 signal events they find more than 100 trees of 31 leaves, or as much (docs/measured.md).

    Parameters
    ----------
    **options
        Of scikit-learn's HistGradientBoostingClassifier.

    Returns
    -------
    GradientBoosting
    """
    settings = {"max_iter": 60, "max_leaf_nodes": 8, "l2_regularization": 1.0, "max_bins": 63, "early_stopping": False}
    return GradientBoosting(**{**settings, **options})


def mlp(**options: Any) -> WeightedPipeline:
    """Standardised features and a multi-layer perceptron with layers of 64 and 64.

    Parameters
    ----------
    **options
        Of scikit-learn's MLPClassifier.

    Returns
    -------
    WeightedPipeline
    """
    settings = {"hidden_layer_sizes": (64, 64), "alpha": 1e-3, "batch_size": 512, "max_iter": 30, "tol": 0.0, **options}
    return WeightedPipeline([("scale", StandardScaler()), ("mlp", MLP(**settings))])


def logistic(**options: Any) -> WeightedPipeline:
    """Standardised features and logistic regression.

    Parameters
    ----------
    **options
        Of scikit-learn's LogisticRegression.

    Returns
    -------
    WeightedPipeline
    """
    settings = {"C": 1.0, "max_iter": 1000, **options}
    return WeightedPipeline([("scale", StandardScaler()), ("logistic", LogisticRegression(**settings))])


CLASSIFIERS = {"gradient_boosting": gradient_boosting, "mlp": mlp, "logistic": logistic}


def final_of(estimator: Any) -> Any:
    """The classifier itself.

    Parameters
    ----------
    estimator
        A classifier, or a pipeline that ends with one.

    Returns
    -------
    estimator
    """
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Check the values of options before anything is trained.

    Parameters
    ----------
    name
        Of ``CLASSIFIERS``.
    options
        Of that classifier; all are known to it.

    Raises
    ------
    ClassifierError
        If scikit-learn refuses a value.
    """
    try:
        final_of(CLASSIFIERS[name](**options))._validate_params()
    except InvalidParameterError as error:
        msg = f"classifier.candidates.{name}: {error}"
        raise ClassifierError(msg) from None


def check_estimator(estimator: Any) -> None:
    """Check that an estimator can tell window from sidebands.

    Parameters
    ----------
    estimator
        Needs ``fit(X, y, sample_weight)`` and ``predict_proba``.

    Raises
    ------
    ClassifierError
        If it lacks one.
    """
    fits = callable(getattr(estimator, "fit", None))
    if not fits or not callable(getattr(estimator, "predict_proba", None)):
        msg = f"CWoLa: expected an estimator with fit and predict_proba, got {type(estimator).__name__}"
        raise ClassifierError(msg)
    if "sample_weight" not in inspect.signature(estimator.fit).parameters:
        msg = (
            f"CWoLa: {type(estimator).__name__}.fit takes no sample_weight, without which window and sidebands "
            "cannot be balanced; for a pipeline use jepa_coffea.cwola.classifiers.WeightedPipeline"
        )
        raise ClassifierError(msg)
