"""What is commented on."""

from django.db import models


class Article(models.Model):
    """A text with a discussion."""

    slug = models.SlugField(unique=True)
    title = models.CharField(max_length=200)
    body = models.TextField()

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return f"/{self.slug}/"
