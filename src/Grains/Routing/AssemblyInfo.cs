using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("OrleansCache.Grains.Tests")]
