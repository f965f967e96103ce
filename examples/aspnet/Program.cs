using Microsoft.AspNetCore.OutputCaching;
using Microsoft.Extensions.Caching.Hybrid;

// Sessions, HybridCache and output caching, all of them on OrleansCache: start as many instances as you like, they share everything.
//   ./orleanscache                                  (in another terminal)
//   dotnet run --project examples/aspnet -- --urls http://127.0.0.1:5080 --OrleansCache:EndPoints:0=127.0.0.1:11211
WebApplicationBuilder builder = WebApplication.CreateBuilder(args);

builder.Services.Configure<OrleansCache.Client.OrleansCacheOptions>(builder.Configuration.GetSection("OrleansCache"));
builder.Services.AddOrleansCache(options => options.KeyPrefix = "shop:");
builder.Services.AddSession(options => options.IdleTimeout = TimeSpan.FromMinutes(20));
builder.Services.AddHybridCache();
builder.Services.AddOutputCache();
builder.Services.AddOrleansCacheOutputCache();

WebApplication app = builder.Build();
app.UseSession();
app.UseOutputCache();

int rendered = 0, computed = 0;

// A counter in the visitor's session: whichever instance the next request reaches.
app.MapGet("/visits", async (HttpContext context) =>
{
    await context.Session.LoadAsync();
    int visits = (context.Session.GetInt32("visits") ?? 0) + 1;
    context.Session.SetInt32("visits", visits);
    await context.Session.CommitAsync();
    return $"{visits}";
});

// Computed once for all instances; each keeps a copy in its own memory for a while.
app.MapGet("/price/{product}", async (string product, HybridCache cache) =>
    await cache.GetOrCreateAsync(
        $"price {product}",
        _ => ValueTask.FromResult($"{product}: {product.Length * 3}.99 (computed {Interlocked.Increment(ref computed)} times here)"),
        new HybridCacheEntryOptions { Expiration = TimeSpan.FromMinutes(5), LocalCacheExpiration = TimeSpan.FromSeconds(5) },
        tags: ["prices"]));

app.MapPost("/price/change", async (HybridCache cache) => await cache.RemoveByTagAsync("prices"));

// A page that is rendered once for all instances, until someone says that it has changed.
app.MapGet("/page", () => $"rendered {Interlocked.Increment(ref rendered)} times here")
    .CacheOutput(policy => policy.Expire(TimeSpan.FromMinutes(5)).Tag("pages"));

app.MapPost("/page/change", async (IOutputCacheStore store, CancellationToken cancellationToken) => await store.EvictByTagAsync("pages", cancellationToken));

app.Run();
