"""How a trained segmenter sees photos: from `prediction.views`, under its old place."""

from oaa_pl.prediction.views import views_of

__all__ = ["views_of"]
