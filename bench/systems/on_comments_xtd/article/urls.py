"""The addresses of the site: articles, comments, signing in."""

from django.urls import include, path
from django.views.generic import DetailView

from article.models import Article

urlpatterns = [
    path("accounts/", include("django.contrib.auth.urls")),
    path("comments/", include("django_comments_xtd.urls")),
    path("<slug:slug>/", DetailView.as_view(model=Article, template_name="article/article.html")),
]
